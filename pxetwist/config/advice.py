"""What is no mistake in an INI, and yet will not boot machines."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from pxetwist.boot.loaders import BUILT_IN, FAMILIES
from pxetwist.config.bind import bug, did_you_mean
from pxetwist.config.certificates import (
    certificates_unfit,
    http_beside_only_https,
    names_without_dns,
)
from pxetwist.config.dhcp_advice import dhcp_advice, interfaces_elsewhere, proxy_advice
from pxetwist.config.file_advice import (
    content_missing,
    content_unreadable,
    databases_missing,
    exports_missing,
    hosts_left_out,
    keys_missing,
    loaders_missing,
    menus_shortened,
    state_unwritable,
)
from pxetwist.config.folders import content_folders
from pxetwist.config.installer_advice import (
    configurations_hidden,
    hashes_unfit,
    installers_incomplete,
)
from pxetwist.config.load import Configuration, Instance
from pxetwist.hosts.formats.rows import KNOWN
from pxetwist.interfaces import IAdvises, IAuthenticator, IListsMachines
from pxetwist.model.content import ContentPath
from pxetwist.model.machine import Machine
from pxetwist.model.profile import ARGUMENTED, ProfileKind
from pxetwist.services.tftp.settings import BLOCK_SIZE_LABEL, block_size
from pxetwist.wire.iana import ARCHITECTURE_NAMES

_ALIKE = 0.85  # so much: adress, group, client_id
_FILE_SERVICES = ("tftp", "http", "https")


def advice(configuration: Configuration, built: Sequence[tuple[Instance, Any]] = ()) -> list[str]:
    """Return one sentence for each thing that looks wrong on this machine.

    `built` are the instances of the configuration with their objects; without them, what
    policies and directories know is not looked at.
    """
    lines = [line for look in ADVICE for line in look(configuration)]
    listed, complete = _listed(built, lines)
    machines = listed if complete else None
    policies = [(instance, thing) for instance, thing in built if instance.kind == "policy"]
    for instance, policy in policies:
        if IAdvises.providedBy(policy):
            with _noted(instance, lines):
                lines += policy.advice(machines, _architectures(configuration, machines or ()))
    lines += dhcp_advice(configuration, listed)
    lines += proxy_advice(configuration, listed)
    for each in configuration.classes:
        lines += [f"[class:{each.name}] match: {doubt}" for doubt in each.doubts(machines or ())]
    lines += labels_misread(configuration, listed)
    lines += labels_misspelt(listed)
    lines += passwords_unchecked(built)
    return [*lines, *profiles_unused(configuration, policies, machines)]


@contextmanager
def _noted(instance: Instance, lines: list[str]) -> Iterator[None]:
    """Make a line of what a plugin raises: it may serve all the same."""
    try:
        yield
    except Exception as error:
        module = getattr(instance.factory, "module", "")
        lines.append(f"[{instance.title}] {bug(error, module)}")


def labels_misread(configuration: Configuration, machines: Collection[Machine]) -> Iterator[str]:
    """Labels that say how a machine boots, with a word that says nothing."""
    loaders = (*FAMILIES, *(loader.name for loader in configuration.loaders))
    for machine in machines:
        who = f"{machine.provenance}: " if machine.provenance else ""
        who += f"machine {machine.name}"
        loader, size = (machine.labels.get(name, "") for name in ("loader", BLOCK_SIZE_LABEL))
        if loader and loader not in loaders:
            hint = did_you_mean(loader, loaders)
            known = f"{', '.join(FAMILIES)}, or the NAME of a [loader:NAME]"
            yield f"{who}: loader: expected {known}, got {loader!r}{hint}"
        if size and not block_size(size):
            expected = "a number of bytes from 8 on"
            yield f"{who}: {BLOCK_SIZE_LABEL}: expected {expected}, got {size!r}"


def passwords_unchecked(built: Sequence[tuple[Instance, Any]]) -> Iterator[str]:
    """Menus whose locked entries nobody can open."""
    able = {each.name for each, thing in built if IAuthenticator.providedBy(thing)}
    for each, _ in built:
        if each.kind == "policy" and each.factory.name == "menu" and each.settings.locked:
            guard = each.settings.password
            if guard not in able:
                mend = "mend: a directory of the plugin ldap"
                yield f"[{each.title}] password: [hosts:{guard}] checks no passwords; {mend}"


def labels_misspelt(machines: Collection[Machine]) -> Iterator[str]:
    """Labels that look as if a fact of the machine was meant."""
    first: dict[str, Machine] = {}
    for machine in machines:
        for name in machine.labels:
            first.setdefault(name, machine)
    for name, machine in first.items():
        if meant := get_close_matches(name.replace("_", "-"), KNOWN, 1, _ALIKE):
            who = f"{machine.provenance}: " if machine.provenance else ""
            yield f"{who}{name!r} is taken for a label; did you mean {meant[0]!r}?"


def _listed(built: Sequence[tuple[Instance, Any]], lines: list[str]) -> tuple[list[Machine], bool]:
    """Return the machines that directories can list, and whether these are all."""
    machines: list[Machine] = []
    complete = True
    for instance, thing in built:
        if instance.kind != "hosts":
            continue
        complete = complete and IListsMachines.providedBy(thing)
        if IListsMachines.providedBy(thing):
            with _noted(instance, lines):
                listed = list(thing.machines())
                if strange := [each for each in listed if not isinstance(each, Machine)]:
                    raise TypeError(f"machines: {strange[0]!r} is no Machine")
                machines += listed
                continue
            complete = False
    return machines, complete


def _architectures(configuration: Configuration, machines: Collection[Machine]) -> set[str]:
    """Return those that machines have in a label `arch`, and those that there are loaders for."""
    labels = {str(machine.labels.get("arch", "")).lower() for machine in machines}
    own = {loader.architecture for loader in configuration.loaders}
    folders = content_folders(configuration)
    installed = {
        loader.architecture
        for loader in BUILT_IN
        if any(folder.place(ContentPath.parse(loader.file)) for folder in folders)
    }
    return (labels & set(ARCHITECTURE_NAMES)) | own | installed


def roots_unserved(configuration: Configuration) -> Iterator[str]:
    """Profiles whose root is an export, while nothing serves those."""
    services = {each.factory.name for each in configuration.of_kind("service")}
    if "nfs" in services:
        return
    for profile in configuration.profiles.values():
        root = profile.wishes.get("root", "")
        if root.startswith("export:"):
            yield f"[profile:{profile.name}] root: {root} is not served; mend: services = …, nfs"


def portmapper_missing(configuration: Configuration) -> Iterator[str]:
    """iPXE finds NFS by asking a portmapper; nothing tells it ports."""
    services = configuration.of_kind("service")
    deaf = [
        each for each in services if each.factory.name == "nfs" and not each.settings.portmapper
    ]
    for profile in configuration.profiles.values() if deaf else ():
        if profile.by_nfs and "export:" in profile.wishes.get("root", ""):
            yield (
                f"[profile:{profile.name}] is loaded by NFS, for which iPXE asks a portmapper;"
                f" mend: portmapper = yes in [{deaf[0].title}]"
            )


def profiles_unused(
    configuration: Configuration,
    policies: Sequence[tuple[Instance, Any]],
    machines: Collection[Machine] | None,
) -> Iterator[str]:
    """Profiles that no policy gives, no menu offers and no other profile extends."""
    used: set[str] = set()
    for instance, policy in policies:
        names: Collection[str] | None = None
        said: list[str] = []
        if IAdvises.providedBy(policy):
            with _noted(instance, said):
                names = policy.profiles_named(machines)
        yield from said
        if names is None:
            return  # it may give any
        used |= set(names)
    profiles = configuration.profiles
    used |= {entry.name for menu in profiles.values() for entry in menu.entries}
    used |= {profile.extends for profile in profiles.values()}
    unused = [name for name in profiles if name not in used]
    if policies and unused:
        yield f"no policy gives the profile {', '.join(unused)}"


def policies_missing(configuration: Configuration) -> Iterator[str]:
    """Without a policy there is silence."""
    if not configuration.of_kind("policy"):
        yield "policies is empty: nothing tells machines what to boot"


def subnet_missing(configuration: Configuration) -> Iterator[str]:
    """The DHCP service answers in known networks only."""
    services = {each.factory.name for each in configuration.of_kind("service")}
    if "dhcp" in services and not configuration.networks:
        yield "there is no [subnet:NAME]: the dhcp service will answer nobody"
    if "dhcp6" in services and not configuration.networks6:
        yield "there is no [subnet6:NAME]: the dhcp6 service will not start"


def families_unheard(configuration: Configuration) -> Iterator[str]:
    """DHCP of each family sends machines to an address of that family."""
    services = configuration.of_kind("service")
    names = {each.factory.name for each in services}
    senders = {4: names & {"dhcp", "proxydhcp"}, 6: names & {"dhcp6"}}
    for each in services:
        addresses = each.settings.addresses if each.factory.name in _FILE_SERVICES else ()
        heard = {address.version for address in addresses}
        for version, sends in senders.items():
            if sends and heard and version not in heard:
                yield (
                    f"[{each.title}] addresses names none of IPv{version}, where"
                    f" {' and '.join(sorted(sends))} sends machines"
                )


def scripts_missing(configuration: Configuration) -> Iterator[str]:
    """Loaders need the text that tells them what to load."""
    stores = {each.factory.name for each in configuration.of_kind("content")}
    scripted = (*ARGUMENTED, ProfileKind.IMAGE, ProfileKind.SCRIPT, ProfileKind.MENU)
    profiles = configuration.profiles.items()
    names = [name for name, p in profiles if p.kind in scripted or (p.folder and p.arguments)]
    if names and "rendered" not in stores:
        yield f"content names no rendered: no loader gets the script of {', '.join(names)}"


def secrets_in_the_clear(configuration: Configuration) -> Iterator[str]:
    """The INI says that it shall be so."""
    for name, profile in configuration.profiles.items():
        answer = profile.answer
        if answer is not None and answer.secret and answer.plain:
            yield (
                f"secret answers of the profile {name!r} cross the network in the clear"
                f" (secret-plain, {answer.location})"
            )


def disks_without_number(configuration: Configuration) -> Iterator[str]:
    """Where disks begin is a matter of the target."""
    for name, profile in configuration.profiles.items():
        if profile.iscsi is not None and "lun" not in profile.origins:
            yield (
                f"profile {name!r} starts from LUN 0, where tgt has its controller and LIO the"
                " first disk: say lun = 1 for tgt, lun = 0 for LIO"
            )


def memdisk_without_bios(configuration: Configuration) -> Iterator[str]:
    """memdisk lives on calls of BIOS."""
    for name, profile in configuration.profiles.items():
        others = {*profile.image, *profile.kernel} - {"", "bios"}
        if profile.memdisk and others:
            yield f"profile {name!r} has {', '.join(sorted(others))}, but memdisk needs BIOS"


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


#: Every look at a configuration; a generator of sentences.
ADVICE = (
    policies_missing,
    state_unwritable,
    subnet_missing,
    interfaces_elsewhere,
    families_unheard,
    scripts_missing,
    secrets_in_the_clear,
    disks_without_number,
    memdisk_without_bios,
    grub_with_proxydhcp,
    loaders_missing,
    content_missing,
    content_unreadable,
    roots_unserved,
    portmapper_missing,
    installers_incomplete,
    configurations_hidden,
    hashes_unfit,
    menus_shortened,
    hosts_left_out,
    databases_missing,
    exports_missing,
    keys_missing,
    certificates_unfit,
    names_without_dns,
    http_beside_only_https,
)
