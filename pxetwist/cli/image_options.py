"""What stands on the command line of ``pxetwist image``."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from twisted.python import usage

from pxetwist.cli.file_options import FileOptions


class Verb(FileOptions):
    """What every verb takes: the INI, if it is not pxe.ini here, and names behind it.

    `names` are what the words behind the INI mean, the last ones of which may be left out.
    """

    synopsis = ""
    names: ClassVar[tuple[str, ...]] = ("image",)
    needed: ClassVar[int] = 1

    def parseArgs(self, *args: str) -> None:
        """Take the INI, which ends with ``.ini``, and names."""
        words = list(args)
        self["file"] = words.pop(0) if words and words[0].endswith(".ini") else "pxe.ini"
        if not self.needed <= len(words) <= len(self.names):
            raise usage.UsageError(f"expected {self.synopsis}, got {' '.join(args) or 'nothing'}")
        for name, word in zip(self.names, [*words, *[""] * len(self.names)], strict=False):
            self[name] = word


class BuildOptions(Verb):
    """Options of ``image build``."""

    synopsis = "[FILE] NAME --from debian:SUITE | --from image:NAME[/VERSION] [options]"
    longdesc = (
        "Makes a root with a kernel out of a distribution's packages, or a copy of a version"
        " with changes. Takes root, some minutes and about 1 GB."
    )
    optParameters = [
        ["from", "f", None, "What it is made of: debian:bookworm, or image:NAME[/VERSION]."],
        ["include", "i", "", "Further packages, with commas between them."],
        ["kernel", "k", None, "Another package of the kernel; linux-image-cloud-amd64 is small."],
        ["arch", "a", None, "The machines' architecture, if it is not this machine's: arm64, …"],
        ["files", None, None, "A folder whose files are copied over the root."],
        ["name", "n", None, "What the version is called; left out, the time of now."],
    ]
    optFlags = [["keep", None, "Let machines go on with the version that they start now."]]

    def __init__(self) -> None:
        super().__init__()
        self["mirror"] = []
        self["run"] = []

    def opt_mirror(self, mirror: str) -> None:
        """Where packages are: a URL, or a line of sources.list; may be given several times. Left
        out, the mirrors of this machine's own apt.
        """
        self["mirror"].append(mirror)

    def opt_run(self, command: str) -> None:
        """A command of the shell that runs in the root at the end; may be given several times."""
        self["run"].append(command)

    def postOptions(self) -> None:
        """Check what was given."""
        if not self["from"]:
            raise usage.UsageError("--from is missing: debian:bookworm, or image:NAME")
        if self["files"] is not None:
            self["files"] = Path(self["files"])
        self["include"] = tuple(filter(None, self["include"].split(",")))


class ListOptions(Verb):
    """Options of ``image list``."""

    synopsis = "[FILE] [NAME]"
    needed = 0


class CheckOptions(Verb):
    """Options of ``image check``."""

    synopsis = "[FILE] [NAME [VERSION]]"
    longdesc = "All images, unless one is named; the version that machines start, unless named."
    names = ("image", "version")
    needed = 0


class UseOptions(Verb):
    """Options of ``image use``."""

    synopsis = "[FILE] NAME VERSION"
    names = ("image", "version")
    needed = 2


class RemoveOptions(Verb):
    """Options of ``image remove``."""

    synopsis = "[FILE] NAME [VERSION] [--force]"
    longdesc = (
        "Without VERSION the whole image. The version that machines start is kept, and so are"
        " those that a machine has started last: it may still run, and would lose its root."
    )
    names = ("image", "version")
    optFlags = [["force", None, "Remove it even so."]]
