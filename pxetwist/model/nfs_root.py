"""Where a machine's root file system is, and how its kernel is told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs

_EXPORT = re.compile(r"export:([\w.-]+)((?:/[^/\s]+)*)/?")
_IN_ROOT = re.compile(r"nfs:((?:/[^/\s]+)+)")
_FOREIGN = re.compile(r"nfs://([^/\s:\[\]]+|\[[0-9a-fA-F:]+\])(/(?:\{\{[^{}]*\}\}|\S)*)")
_PATHLESS = re.compile(r"nfs:/?/?|nfs://[^/{]*|nfs:///.*")
#: The roots of our exports, spelled for templates: their addresses and ports are known later.
_OURS = "{{ endpoints.host }}"
_OUR_PATH = "{{ root.mount_path }}"
#: What a kernel is told of somebody else's server: no version and transport of its own choice.
_FOREIGN_OPTIONS = "vers=3,proto=tcp,nolock"
#: How the families spell a root by NFS. Kernels: Linux, admin-guide/nfs; our own images: their
#: script; initramfs-tools(7), whose nfsmount refuses proto and mountport; live-boot(7);
#: dracut.cmdline(7); Anaconda's boot options; linuxrc.
_FORMS: Mapping[str, str] = {
    "generic": "root=/dev/nfs nfsroot={server}:{path},{options} ip=dhcp",
    "diskless": "boot=pxetwist nfsroot={server}:{path},{options} BOOTIF={{{{ bootif }}}}"
    " pxetwist.hostname={{{{ host }}}}",
    "initramfs-tools": "boot=nfs nfsroot={server}:{path},vers=3,tcp",
    "debian-live": "netboot=nfs nfsroot={server}:{path}",
    "dracut": "root=nfs:{server}:{path}:{options} ip=dhcp rd.neednet=1",
    "anaconda": "inst.stage2=nfs:{server}:{path}",
    "autoyast": "install=nfs://{server}{path}",
}


def mount_options(port: int = 2049, mount_port: int = 20048) -> str:
    """Return the options of a mount that asks no portmapper, and no lock manager."""
    ports = f"port={port},mountport={mount_port}"
    return f"vers=3,proto=tcp,{ports},mountproto=tcp,nolock"


#: Those of our server, unless the INI chooses other ports.
MOUNT_OPTIONS = mount_options()


@attrs.frozen
class NfsRoot:
    """A root that we serve: the folder `path` (``a/b``; empty: all) of the export of that name."""

    export: str
    path: str = ""

    @property
    def mount_path(self) -> str:
        """The path that clients mount: ``/NAME/a/b``."""
        return f"/{self.export}/{self.path}".rstrip("/")

    def url(self, host: str, file: str) -> str:
        """Return where a loader finds a file of it (``/boot/vmlinuz``)."""
        return f"nfs://{host}{self.mount_path}{file}"

    def __str__(self) -> str:
        return f"export:{self.export}/{self.path}".rstrip("/")


def own_root(value: str) -> NfsRoot | None:
    """Read ``export:NAME`` or ``export:NAME/a/b``; `None`: it is another kind of root.

    :raises ValueError: if it begins so but cannot be read.
    """
    if _PATHLESS.fullmatch(value):
        raise ValueError(f"expected a root like nfs://filer/path, got {value!r}")
    if not value.startswith("export:"):
        return None
    found = _EXPORT.fullmatch(value)
    if found is None or {".", ".."}.intersection(found[2].split("/")):
        raise ValueError(f"expected a root like export:NAME or export:NAME/folder, got {value!r}")
    return NfsRoot(found[1], found[2].removeprefix("/"))


def by_nfs(file: str) -> bool:
    """Whether a file of a profile is loaded by NFS: one of the root, or of an ``nfs://`` URL."""
    return file.startswith("nfs:")


def path_in_root(file: str) -> str:
    """Read ``nfs:/boot/vmlinuz``, a file in the root that we serve; empty: it is elsewhere.

    :raises ValueError: if it begins so but cannot be read.
    """
    if not by_nfs(file) or file.startswith("nfs://"):
        return ""
    found = _IN_ROOT.fullmatch(file)
    if found is None or {".", ".."}.intersection(file.split("/")):
        raise ValueError(f"expected a file in the root like nfs:/boot/vmlinuz, got {file!r}")
    return found[1]


def rootless(files: Iterable[str], root: NfsRoot | None) -> str:
    """Say what is wrong with files that are in a root of ours; empty if nothing is."""
    try:
        found = [file for file in files if path_in_root(file)]
    except ValueError as error:
        return str(error)
    if found and root is None:
        return f"{found[0]} is a file in the root, which must be ours: root = export:NAME"
    return ""


def knows_nfs(family: str) -> bool:
    """Whether kernels of a family can be told a root by NFS."""
    return family in _FORMS


def nfs_arguments(family: str, root: str) -> str:
    """Spell a root by NFS, ours or ``nfs://server/path``, as arguments; empty: it is another kind
    of root, or the family cannot be told. Ours is a template.
    """
    form = _FORMS.get(family, "")
    ours = own_root(root)
    if ours is not None:
        return form.format(server=_OURS, path=_OUR_PATH, options="{{ nfs_options }}")
    foreign = _FOREIGN.fullmatch(root)
    if foreign is None:
        return ""
    return form.format(server=foreign[1], path=foreign[2], options=_FOREIGN_OPTIONS)
