"""Which files of Windows and ESXi are missing: they are their makers', and a site's own copies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pxetwist.config.folders import ContentFolder, ContentImages, content_places, files_in_content
from pxetwist.config.load import Configuration
from pxetwist.content import bootcfg
from pxetwist.errors import PolicyError
from pxetwist.model.content import ContentPath
from pxetwist.model.installers import BCD, SDI, Esxi, Windows
from pxetwist.model.profile import INSTALLERS, BootProfile, ProfileKind
from pxetwist.wire.iana import Architecture

_WIMBOOT = "it is among the releases of https://github.com/ipxe/wimboot"
_WINDOWS = "it is on Windows' installation medium, and copype of the Windows ADK makes one"
_ESXI = "it is on ESXi's installation medium, all of which belongs there"
#: Hashes by SHA-512 without rounds, by MD5, and by DES: what ESXi's `rootpw --iscrypted` takes.
_ESXI_HASH = re.compile(r"\$6\$[\w./]{0,16}\$[\w./]{86}|\$1\$[\w.$/]{22,31}|[\w./]{13}", re.ASCII)
#: The architectures that a medium is for, if the profile does not say.
_USUAL = (Architecture.X86_BIOS, Architecture.X64_UEFI)
_OTHERS = (Architecture.X86_UEFI, Architecture.ARM64_UEFI)


def installers_incomplete(configuration: Configuration) -> Iterator[str]:
    """Yield what a machine cannot go on without, where it was looked for, and where it is from."""
    places = content_places(configuration)
    has = files_in_content(configuration)
    for profile in configuration.profiles.values():
        if profile.kind not in INSTALLERS:
            continue
        wanted: dict[str, str] = {}
        for boot in _boots(profile):
            if isinstance(boot, Windows):
                wanted |= _wanted_windows(boot)
                continue
            lines, files = _wanted_esxi(boot, places)
            yield from (f"profile {profile.name!r}: {line}" for line in lines)
            wanted |= dict.fromkeys(files, _ESXI)
        for file, origin in wanted.items():
            if not has(file):
                path = ContentPath.parse(file)
                wanted_at = [at for each in places if (at := each.wanted(path))]
                nowhere = " and no ".join(wanted_at) or f"folder for {path}"
                yield f"profile {profile.name!r} needs {file}; there is no {nowhere}: {origin}"


def configurations_hidden(configuration: Configuration) -> Iterator[str]:
    """mboot that firmware starts asks for the boot.cfg of its medium: the made one must be found
    before that one.
    """
    stores = [store.factory.name for store in configuration.of_kind("content")]
    if "rendered" not in stores or stores[0] == "rendered":
        return
    for name, profile in configuration.profiles.items():
        if profile.kind is ProfileKind.ESXI and profile.nbp:
            yield (
                f"profile {name!r}: firmware gets the boot.cfg of the medium, for content names"
                " other stores before rendered"
            )


def hashes_unfit(configuration: Configuration) -> Iterator[str]:
    """ESXi's installer takes hashes of few kinds, and stops at others: yescrypt, which mkpasswd
    makes today, is none of them.
    """
    for name, profile in configuration.profiles.items():
        answer = profile.answer if profile.kind is ProfileKind.ESXI else None
        value = answer.values.get("root_password") if answer else None
        own = dict(profile.made_files).get("ks.cfg")
        if value and not own and "{" not in value.text and not _ESXI_HASH.fullmatch(value.text):
            yield (
                f"[profile:{name}] answer.root-password: ESXi's installer wants a hash by SHA-512;"
                " mend: mkpasswd -m sha-512"
            )


def _boots(profile: BootProfile) -> Iterator[Windows | Esxi]:
    """Yield what machines of each architecture boot."""
    codes = [code for code in (*_USUAL, *_OTHERS) if code.short in profile.media]
    if "" in profile.media:
        codes += [code for code in _USUAL if code not in codes]
    for code in codes:
        boot = profile.plan(code).boot
        if isinstance(boot, Windows | Esxi):
            yield boot


def _wanted_windows(boot: Windows) -> dict[str, str]:
    """Return files, and where they come from. Boot managers and the like wimboot finds in the WIM;
    without wimboot nobody does.
    """
    wanted = {boot.wimboot: _WIMBOOT, boot.wim: _WINDOWS}
    if boot.program:
        native = (boot.program, f"{boot.media}/{BCD}", f"{boot.media}/{SDI}")
        wanted |= dict.fromkeys(native, _WINDOWS)
    return wanted


def _wanted_esxi(
    boot: Esxi, places: Sequence[ContentFolder | ContentImages]
) -> tuple[list[str], list[str]]:
    """Return what is wrong with the medium's boot.cfg, and the files that the machine loads."""
    programs = [boot.mboot, *([boot.program] if boot.program else [])]
    for name in boot.configurations:
        path = ContentPath.parse(name)
        place = next((each for each in places if each.has(path)), None)
        if place is None:
            continue
        file = place.wanted(path)
        try:
            settings = bootcfg.parse((place.read(path) or b"").decode("utf-8", "replace"))
        except OSError as error:
            return [f"cannot read {file}: {error.strerror}"], programs
        except PolicyError as error:
            return [f"{file}: {error}"], programs
        return [], [*programs, *(f"{boot.media}/{each}" for each in bootcfg.files(settings))]
    return [], [*programs, boot.configurations[-1]]
