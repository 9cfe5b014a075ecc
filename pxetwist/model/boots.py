"""What a machine can be told to start: one value for each kind."""

from __future__ import annotations

import attrs

from pxetwist.model.answer import Answer
from pxetwist.model.installers import Esxi, Windows
from pxetwist.model.nfs_root import NfsRoot, by_nfs


@attrs.frozen
class Files:
    """A kernel to start: content paths (or URLs) of kernel and initrds, its arguments, the
    answers to what its installer would ask, and the root that we serve to its system. A file
    ``nfs:/boot/vmlinuz`` is in that root.
    """

    kernel: str
    initrds: tuple[str, ...] = ()
    arguments: str = ""
    answer: Answer | None = None
    root: NfsRoot | None = None

    @property
    def by_nfs(self) -> bool:
        """Whether any of it is loaded by NFS, which of all loaders only iPXE can."""
        return any(map(by_nfs, (self.kernel, *self.initrds)))


@attrs.frozen
class Nbp:
    """Any network boot program, by its content path or URL."""

    path: str


@attrs.frozen
class Image:
    """An image of a disk or CD that the machine starts from as if it had that: its content path
    or URL. iPXE does it, or the program `memdisk`, which takes all of it into memory first and
    is given `arguments`.
    """

    path: str
    memdisk: str = ""
    arguments: str = ""


@attrs.frozen
class Iscsi:
    """A disk of an iSCSI target, on `lun` of the site's `server`: the machine starts from it, or,
    with a `kernel`, has it while that runs. `server`, `target` and `initiator` (none: iPXE's
    own) are templates. `answer` holds what it logs in with, if it must. Only iPXE can do it.
    """

    server: str
    target: str
    port: int = 3260
    lun: int = 0
    initiator: str = ""
    kernel: str = ""
    initrds: tuple[str, ...] = ()
    arguments: str = ""
    answer: Answer | None = None


@attrs.frozen
class SanDisk:
    """Where one machine's disk is, as a root path (RFC 4173 §5), and the name that it comes by;
    empty: one of its own.
    """

    uri: str
    initiator: str = ""


@attrs.frozen
class Script:
    """The site's own loader texts; an empty one means that this loader has none."""

    ipxe: str = ""
    grub: str = ""
    pxelinux: str = ""


@attrs.frozen
class RaspberryPi:
    """What the ROM of such a board loads by itself: the files of a content `folder`, which holds
    what its boot partition would. With `arguments` (a template) its ``cmdline.txt`` is made.
    `root` is one that we serve to its system.
    """

    folder: str
    arguments: str = ""
    root: NfsRoot | None = None


@attrs.frozen
class LocalDisk:
    """Leave the network and start what is installed."""


@attrs.frozen
class MenuEntry:
    """One line of a menu; a `locked` one needs a person's password."""

    name: str
    title: str
    boot: Files | Windows | Esxi | Nbp | Image | Iscsi | Script | LocalDisk
    locked: bool = False


@attrs.frozen
class Menu:
    """Let the person at the machine choose; after `timeout` seconds (0: wait) the default.

    `guard` is the directory that checks the passwords of locked entries; `admitted` are the
    groups of persons that it lets in (none: everybody whose password is right). A password may
    cross the network in the clear only if the menu is `plain`.
    """

    title: str
    entries: tuple[MenuEntry, ...]
    default: str
    timeout: int = 0
    guard: str = ""
    admitted: tuple[str, ...] = ()
    plain: bool = False


@attrs.frozen
class Ignored:
    """Stay silent."""


Boot = (
    Files
    | Windows
    | Esxi
    | Nbp
    | Image
    | Iscsi
    | Script
    | RaspberryPi
    | LocalDisk
    | Menu
    | Ignored
)


def native_program(boot: Boot) -> str:
    """Return the content path or URL of the program that firmware itself is to start; empty: it
    needs a loader.
    """
    match boot:
        case Nbp():
            return boot.path
        case Windows() | Esxi():
            return boot.program
    return ""
