"""What an operating system needs to start, per architecture, before it is a plan."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

import attrs

from pxetwist.errors import PolicyError
from pxetwist.model.answer import Answer
from pxetwist.model.architecture_values import ArchitectureValues, PerArchitecture
from pxetwist.model.boot import BootPlan
from pxetwist.model.boots import (
    Boot,
    Files,
    Ignored,
    Image,
    Iscsi,
    LocalDisk,
    Menu,
    MenuEntry,
    Nbp,
    RaspberryPi,
    Script,
)
from pxetwist.model.families import (
    ANSWERED,
    BY_ANSWER,
    FAMILIES,
    Setting,
    kernel_arguments,
    names_answer,
    unknown_wish,
    with_arguments,
)
from pxetwist.model.installers import ESXI_TEXTS, WINDOWS_TEXTS, Texts, esxi, windows
from pxetwist.model.nfs_root import NfsRoot, by_nfs, knows_nfs, own_root, rootless
from pxetwist.wire.iana import Architecture


class ProfileKind(enum.Enum):
    """What a profile does; the words of the INI."""

    LINUX = "linux"
    WINDOWS = "windows"
    ESXI = "esxi"
    LOCAL = "local"
    SCRIPT = "script"
    NBP = "nbp"
    IMAGE = "image"
    ISCSI = "iscsi"
    RASPBERRY_PI = "raspberry-pi"
    MENU = "menu"
    SILENCE = "silence"


#: Options of iSCSI disks that tell where they are.
ISCSI_NAMES = ("server", "target", "initiator")
#: Options that may differ by architecture.
_BY_ARCHITECTURE = ("kernel", "initrds", "nbp", "image", "arguments", "media", "wim")
#: Where memdisk is, unless a profile says so.
MEMDISK = "loaders/memdisk"
#: What a kind needs at least one of.
NEEDED = {
    ProfileKind.LINUX: ("kernel",),
    ProfileKind.WINDOWS: ("media",),
    ProfileKind.ESXI: ("media",),
    ProfileKind.SCRIPT: ("ipxe", "grub", "pxelinux"),
    ProfileKind.NBP: ("nbp",),
    ProfileKind.IMAGE: ("image",),
    ProfileKind.ISCSI: ("target",),
    ProfileKind.RASPBERRY_PI: ("folder",),
    ProfileKind.MENU: ("entries",),
}
#: The kinds that have arguments, and those whose kernels are told more than that.
ARGUMENTED = (ProfileKind.LINUX, ProfileKind.WINDOWS, ProfileKind.ESXI, ProfileKind.ISCSI)
TOLD = (ProfileKind.LINUX, ProfileKind.RASPBERRY_PI)
#: Those that nothing but iPXE can start, with wimboot and mboot.
INSTALLERS = (ProfileKind.WINDOWS, ProfileKind.ESXI)


@attrs.frozen
class BootProfile:
    """A named way to boot. Only the fields of its `kind` are set.

    `initrds` hold their paths separated by white space. `wishes` (root, console, locale, …) are
    spelled as arguments in the way of the `family`. `media` is the folder of a medium of Windows
    or ESXi, `folder` that with the files of a Raspberry Pi; with `memdisk` an image is started by
    that, and `iscsi` is a disk without what differs by architecture. `texts` are the site's
    templates of what is made for each machine, by name.
    `entries` are the profiles of a menu. `origins` say for people where each option stands, by its
    name in the INI; `extends` is the profile that it took options over from.
    """

    name: str
    kind: ProfileKind
    title: str = ""
    loader: str = ""
    kernel: PerArchitecture = attrs.field(factory=dict)
    initrds: PerArchitecture = attrs.field(factory=dict)
    arguments: PerArchitecture = attrs.field(factory=dict)
    nbp: PerArchitecture = attrs.field(factory=dict)
    image: PerArchitecture = attrs.field(factory=dict)
    memdisk: bool = False
    iscsi: Iscsi | None = None
    media: PerArchitecture = attrs.field(factory=dict)
    wim: PerArchitecture = attrs.field(factory=dict)
    share: str = ""
    folder: str = ""
    texts: Mapping[str, str] = attrs.field(factory=dict)
    script: Script = attrs.field(factory=Script)
    entries: tuple[BootProfile, ...] = ()
    default: str = ""
    timeout: int = 0
    family: str = "generic"
    wishes: Mapping[str, str] = attrs.field(factory=dict)
    origins: Mapping[str, str] = attrs.field(factory=dict, eq=False)
    extends: str = attrs.field(default="", eq=False)
    answer: Answer | None = None
    #: What a plan is made of, by architecture: it is asked for each time a machine asks.
    _made: dict[Architecture | None, tuple[Boot, tuple[Setting, ...]]] = attrs.field(
        init=False, factory=dict, eq=False, repr=False
    )

    @property
    def lacks(self) -> str:
        """What it must have to be booted, if it has not: others extend it, it is but a base."""
        holder = self.script if self.kind is ProfileKind.SCRIPT else self
        needed = NEEDED.get(self.kind, ())
        if self.kind is ProfileKind.ISCSI:
            return "" if self.iscsi is not None else "target"
        there = any(getattr(holder, option) for option in needed)
        return "" if there else " or ".join(needed)

    def plan(self, architecture: Architecture | None, reason: str = "") -> BootPlan:
        """Turn the profile into a plan for one architecture (`None`: not known yet).

        :raises PolicyError: if the profile has nothing for that architecture.
        """
        made = self._made.get(architecture)
        if made is None:
            on = self._on(architecture)
            made = self._boot(on), tuple(self._settings(on))
            self._made[architecture] = made
        boot, settings = made
        by_ipxe = self.kind in INSTALLERS or (isinstance(boot, Files) and boot.by_nfs)
        loader = "ipxe" if by_ipxe else self.loader
        return BootPlan(boot, profile=self.name, reason=reason, loader=loader, settings=settings)

    @property
    def by_nfs(self) -> bool:
        """Whether, on any architecture, a file of it is loaded by NFS."""
        initrds = [file for each in self.initrds.values() for file in each.split()]
        return any(map(by_nfs, (*self.kernel.values(), *initrds)))

    def misfit(self, name: str) -> str:
        """Say why it cannot take a setting of that name; empty if it can."""
        kind = self.kind
        if name == "loader" and self.by_nfs:
            return f"profile {self.name!r} is loaded by NFS, which only iPXE can"
        if name == "loader" and kind in (ProfileKind.LINUX, ProfileKind.SCRIPT, ProfileKind.MENU):
            return ""
        if name == "loader" and kind is ProfileKind.IMAGE and self.memdisk:
            return ""
        if kind is ProfileKind.MENU:
            misfits = [entry.misfit(name) for entry in self.entries]
            return misfits[0] if misfits and all(misfits) else ""
        if kind in (*ARGUMENTED, *TOLD) and name in ("arguments", "arguments-add"):
            return ""
        if kind not in TOLD or name == "loader":
            return f"profile {self.name!r} is of kind {kind.value}, which has no {name}"
        if name in FAMILIES[self.family]:
            return ""
        if self.answer is not None and name in BY_ANSWER:
            return ""
        return f"profile {self.name!r}: {unknown_wish(self.family, name)}"

    def changed(self, settings: Iterable[Setting]) -> BootProfile:
        """Return it with other values; what does not fit is left out, see :meth:`misfit`.

        ``arguments`` and the wishes replace, ``arguments-add`` appends. A menu hands them on to
        its entries.
        """
        profile = self
        for setting in settings:
            if not profile.misfit(setting.name):
                profile = profile._changed(setting)
        return profile

    def _changed(self, setting: Setting) -> BootProfile:
        name, value = setting.name, setting.value
        origins = {**self.origins, name: setting.origin}
        if name == "loader":
            return attrs.evolve(self, loader=value, origins=origins)
        if self.kind is ProfileKind.MENU:
            entries = tuple(entry.changed([setting]) for entry in self.entries)
            return attrs.evolve(self, entries=entries)
        if name == "arguments":
            rest = {at: each for at, each in origins.items() if not at.startswith("arguments")}
            rest[name] = setting.origin
            return attrs.evolve(self, arguments={"": value}, origins=rest)
        if name == "arguments-add":
            arguments = {at: with_arguments(old, value) for at, old in self.arguments.items()}
            before = self.origins.get(name)
            origins[name] = f"{before}; {setting.origin}" if before else setting.origin
            return attrs.evolve(self, arguments={"": value} | arguments, origins=origins)
        return attrs.evolve(self, wishes={**self.wishes, name: value}, origins=origins)

    def _on(self, architecture: Architecture | None) -> ArchitectureValues:
        values = {option: getattr(self, option) for option in _BY_ARCHITECTURE}
        return ArchitectureValues(self.name, architecture, values)

    def _settings(self, on: ArchitectureValues) -> Iterable[Setting]:
        """Yield what a plan for this architecture is made of."""
        for name in _BY_ARCHITECTURE:
            if value := on[name]:
                added = ("arguments-add",) if name == "arguments" else ()
                yield Setting(name, value, self._origin(on.spelled(name), *added))
        if self.folder:
            yield Setting("folder", self.folder, self._origin("folder"))
        for name in ISCSI_NAMES if self.iscsi is not None else ():
            if value := getattr(self.iscsi, name):
                yield Setting(name, value, self._origin(name))
        for name, value in self.wishes.items():
            yield Setting(name, value, self._origin(name))
        if self.answer is not None:
            if self.answer.template:
                yield Setting("answer", self.answer.template, self._origin("answer"))
            for option, said in self.answer.shown():
                yield Setting(option, said, self._origin(option))
        if self.loader:
            yield Setting("loader", self.loader, self._origin("loader"))
        for entry in self.entries:
            for setting in entry._settings(entry._on(on.architecture)):
                yield attrs.evolve(setting, name=f"{entry.name}: {setting.name}")

    def _origin(self, *options: str) -> str:
        found = (self.origins.get(option, "") for option in options)
        return "; ".join(dict.fromkeys(filter(None, found)))

    def _boot(self, on: ArchitectureValues) -> Boot:
        match self.kind:
            case ProfileKind.LOCAL:
                return LocalDisk()
            case ProfileKind.SILENCE:
                return Ignored()
            case ProfileKind.SCRIPT:
                return self.script
            case ProfileKind.NBP:
                return Nbp(on.needed("nbp"))
            case ProfileKind.IMAGE:
                return self._image(on)
            case ProfileKind.ISCSI:
                return self._iscsi(on)
            case ProfileKind.RASPBERRY_PI:
                return RaspberryPi(self.folder, self._arguments(on), self.own_root)
            case ProfileKind.MENU:
                return self._menu(on.architecture)
            case ProfileKind.LINUX:
                return self._linux(on)
            case ProfileKind.WINDOWS:
                return windows(on, self.made_files, self._values(), self.share)
            case ProfileKind.ESXI:
                return esxi(on, self.made_files, self._values())

    def _linux(self, on: ArchitectureValues) -> Files:
        files = Files(on.needed("kernel"), on.words("initrds"), root=self.own_root)
        mistake = rootless((files.kernel, *files.initrds), files.root)
        if mistake:
            raise PolicyError(f"profile {self.name!r}: {mistake}")
        answer = self.answer.beside(self._for_answer()) if self.answer else None
        return attrs.evolve(files, arguments=self._arguments(on), answer=answer)

    def _image(self, on: ArchitectureValues) -> Image:
        image = Image(on.needed("image"))
        if not self.memdisk:
            return image
        if on.architecture not in (None, Architecture.X86_BIOS):
            raise PolicyError(f"profile {self.name!r}: memdisk needs BIOS, and this is {on.short}")
        return attrs.evolve(image, memdisk=on["kernel"] or MEMDISK, arguments=on["arguments"])

    def _iscsi(self, on: ArchitectureValues) -> Iscsi:
        assert self.iscsi is not None
        return attrs.evolve(
            self.iscsi,
            kernel=on["kernel"],
            initrds=on.words("initrds"),
            arguments=on["arguments"],
            answer=self.answer,
        )

    @property
    def made_files(self) -> Texts:
        """What is made for each machine that installs Windows or ESXi."""
        names = {ProfileKind.WINDOWS: WINDOWS_TEXTS, ProfileKind.ESXI: ESXI_TEXTS}
        return tuple({**dict.fromkeys(names.get(self.kind, ()), ""), **self.texts}.items())

    def _values(self) -> Answer | None:
        names = tuple(name for name, _ in self.made_files)
        return attrs.evolve(self.answer, names=names) if self.answer is not None else None

    @property
    def own_root(self) -> NfsRoot | None:
        """The root of ours that it names.

        :raises PolicyError: if that cannot be read, or its kernel cannot be told.
        """
        try:
            found = own_root(self.wishes.get("root", ""))
        except ValueError as error:
            raise PolicyError(f"profile {self.name!r}: {error}") from None
        if found is not None and not knows_nfs(self.family):
            word = f"kernels of the family {self.family} cannot be told a root by NFS"
            raise PolicyError(f"profile {self.name!r}: {word}")
        return found

    def _arguments(self, on: ArchitectureValues) -> str:
        """Spell everything for the kernel; where the answers are, unless it is told already."""
        words = on["arguments"]
        more = kernel_arguments(self.family, self.wishes)
        if self.answer is not None and not names_answer(words):
            more = f"{ANSWERED[self.family]} {more}"
        return with_arguments(words, more)

    def _for_answer(self) -> Mapping[str, str]:
        return {name: value for name, value in self.wishes.items() if name in BY_ANSWER}

    def _menu(self, architecture: Architecture | None) -> Menu:
        entries = []
        for profile in self.entries:
            try:
                boot = profile._boot(profile._on(architecture))
            except PolicyError:
                continue  # a menu shows what this machine can start
            if not isinstance(boot, Menu | Ignored | RaspberryPi):
                entries.append(MenuEntry(profile.name, profile.title or profile.name, boot))
        if not entries:
            raise PolicyError(f"menu {self.name!r} has no entry for this architecture")
        names = [entry.name for entry in entries]
        default = self.default if self.default in names else names[0]
        return Menu(self.title or self.name, tuple(entries), default, self.timeout)
