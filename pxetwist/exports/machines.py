"""Files of machines, of their groups and of all, as a tree for each machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
from zope.interface import implementer

from pxetwist.config import fields
from pxetwist.config.fields import Converter, option
from pxetwist.errors import ConfigErrors
from pxetwist.exports.machine_folders import Folder, templates
from pxetwist.exports.machine_texts import MachineTexts, Subject
from pxetwist.exports.machine_tree import MachineTree
from pxetwist.exports.path_patterns import PathPatterns
from pxetwist.file_tree import IExport, IFileTree
from pxetwist.interfaces import Site
from pxetwist.model.boot import BootRequest
from pxetwist.model.machine import Machine
from pxetwist.model.recent import Recent

#: So many machines' trees, and their folders, are kept.
_TREES = 1024


@attrs.frozen
class Settings:
    """Options of ``[export:NAME]`` with the plugin ``machines``."""

    path: Path = option(
        fields.folder,
        doc="The folder with machines/NAME, groups/GROUP and common, which need not all exist. Of"
        " several files with one name a machine gets its own, else that of the first of its"
        " groups that has one, else the common one. NAME.j2 is a template: NAME, made for the"
        " machine.",
    )
    secrets: PathPatterns = option(
        Converter("absolute paths, one a line", PathPatterns.parse),
        default=PathPatterns(),
        doc="Paths that only root may read on the machine, with all that is below; * stands for"
        " any part of a name.",
    )


def build(settings: Settings, site: Site) -> MachinesExport:
    """Make the export; templates are compiled now, so that a mistake shows at the start.

    :raises ConfigErrors: if there is one.
    """
    texts = MachineTexts()
    sources = Folder(settings.path, site.reactor.seconds).sources()
    mistakes = texts.mistakes(templates(sources))
    if mistakes:
        raise ConfigErrors(mistakes)
    return MachinesExport(settings, site, texts)


@implementer(IExport)
class MachinesExport:
    """A tree for each machine; for one that nobody knows, what is common."""

    def __init__(self, settings: Settings, site: Site, texts: MachineTexts) -> None:
        self._settings = settings
        self._site = site
        self._texts = texts
        self._trees: Recent[str, MachineTree] = Recent(_TREES)
        self._folders: Recent[str, Folder] = Recent(_TREES)

    def tree(self, request: BootRequest) -> IFileTree:
        """Return the tree of a machine: the same object each time it asks."""
        machine = request.machine
        name = f"machine {machine.name}" if machine else f"stranger {request.identity.key}"
        tree = self._trees.get(name)
        if tree is None:
            tree = MachineTree(name, self._texts, self._settings.secrets, self._site.log)
            self._trees.put(name, tree)
        folders = [self._folder(place) for place in _places(machine)]
        tree.show(Subject.of(request), folders)
        return tree

    def _folder(self, place: str) -> Folder:
        """Return what machines of one group share."""
        found = self._folders.get(place)
        if found is None:
            found = Folder(self._settings.path / place, self._site.reactor.seconds)
            self._folders.put(place, found)
        return found


def _places(machine: Machine | None) -> Iterator[str]:
    if machine is not None and _is_name(machine.name):
        yield f"machines/{machine.name}"
    for group in machine.groups if machine is not None else ():
        if _is_name(group):
            yield f"groups/{group}"
    yield "common"


def _is_name(name: str) -> bool:
    """Whether what a directory calls a machine or group can be the name of one folder."""
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name
