"""What is no mistake in an INI, and yet will not boot machines."""

from __future__ import annotations

from collections.abc import Iterator

from pxetwist.config.load import Configuration
from pxetwist.model.profile import BootProfile, ProfileKind


def advice(configuration: Configuration) -> list[str]:
    """Return one sentence for each thing that looks wrong on this machine."""
    return [line for look in ADVICE for line in look(configuration)]


def policies_missing(configuration: Configuration) -> Iterator[str]:
    """Without a policy there is silence."""
    if not configuration.of_kind("policy"):
        yield "policies is empty: nothing tells machines what to boot"


def subnet_missing(configuration: Configuration) -> Iterator[str]:
    """The DHCP service answers in known networks only."""
    services = {each.factory.name for each in configuration.of_kind("service")}
    if "dhcp" in services and not configuration.networks:
        yield "there is no [subnet:NAME]: the dhcp service will answer nobody"


def scripts_missing(configuration: Configuration) -> Iterator[str]:
    """Loaders need the text that tells them what to load."""
    stores = {each.factory.name for each in configuration.of_kind("content")}
    scripted = (ProfileKind.LINUX, ProfileKind.SCRIPT, ProfileKind.MENU)
    names = [name for name, p in configuration.profiles.items() if p.kind in scripted]
    if names and "rendered" not in stores:
        yield f"content names no rendered: no loader gets the script of {', '.join(names)}"


def grub_with_proxydhcp(configuration: Configuration) -> Iterator[str]:
    """GRUB takes the server from the ACK of the plain DHCP server and asks that one by TFTP."""
    services = {each.factory.name for each in configuration.of_kind("service")}
    if "proxydhcp" not in services:
        return
    for name, profile in configuration.profiles.items():
        if profile.loader == "grub" or (profile.script.grub and not profile.script.ipxe):
            yield (
                f"profile {name!r} needs GRUB, which does not know ProxyDHCP: it asks the other"
                " DHCP server for its files"
            )


def content_missing(configuration: Configuration) -> Iterator[str]:
    """Files that profiles and loaders name, and no folder has."""
    stores = configuration.of_kind("content")
    folders = [each.settings.root for each in stores if each.factory.name == "directory"]
    if not folders or {store.factory.name for store in stores} - {"directory", "rendered"}:
        return  # the file may come from a store that we cannot look into
    for owner, file in _files(configuration):
        if "://" not in file and not any((root / file.lstrip("/")).exists() for root in folders):
            yield f"{owner} names {file}, which no content folder has"


def _files(configuration: Configuration) -> Iterator[tuple[str, str]]:
    for name, profile in configuration.profiles.items():
        for file in dict.fromkeys(_files_of(profile)):
            yield f"profile {name!r}", file
    for loader in configuration.loaders:
        yield f"the {loader.family} loader for {loader.architecture}", loader.file


def _files_of(profile: BootProfile) -> Iterator[str]:
    yield from profile.kernel.values()
    for initrds in profile.initrds.values():
        yield from initrds.split()
    yield from profile.nbp.values()


#: Every look at a configuration; a generator of sentences.
ADVICE = (
    policies_missing,
    subnet_missing,
    scripts_missing,
    grub_with_proxydhcp,
    content_missing,
)
