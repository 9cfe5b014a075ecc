"""Exports over one another: a machine sees the first that has a name."""

from __future__ import annotations

import os
import re
from typing import Any

import attrs
from zope.interface import implementer

from pxetwist.config import fields
from pxetwist.config.fields import Converter, Line, option
from pxetwist.errors import ConfigError
from pxetwist.exports.layers import Layer, tag_of
from pxetwist.exports.overlay_tree import OverlayTree
from pxetwist.exports.path_patterns import PathPatterns
from pxetwist.exports.version_trees import Below, VersionsTree
from pxetwist.file_tree import IExport, IFileTree, IVersioned
from pxetwist.interfaces import Site
from pxetwist.model.boot import BootRequest
from pxetwist.model.recent import Recent

#: So many machines' trees are kept.
_TREES = 256
#: So many versions of its image share what they know with all machines.
_VERSIONS = 16


def _words(value: str) -> tuple[Line, ...]:
    """Take names apart, each with the line that it stands in."""
    return tuple(
        Line(name, line.location)
        for line in fields.lines(value)
        for name in re.split(r"[,\s]+", line.text)
        if name
    )


@attrs.frozen
class Settings:
    """Options of ``[export:NAME]`` with the plugin ``overlay``."""

    layers: tuple[Line, ...] = option(
        Converter("names of exports", _words),
        doc="The exports that lie over one another, the upper ones first; no overlays.",
    )
    hide: PathPatterns = option(
        Converter("absolute paths, one a line", PathPatterns.parse),
        default=PathPatterns(),
        doc="Paths of all layers but the first that are not there for machines, with all that is"
        " below; * stands for any part of a name.",
    )

    def __attrs_post_init__(self) -> None:
        """Check that keys can tell the layers apart."""
        if len(self.layers) < 2:
            raise ValueError("layers needs two exports or more")
        names = [name.text for name in self.layers]
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ValueError(f"layers names {', '.join(twice)} twice")
        if len(set(map(tag_of, names))) < len(names):
            raise ValueError("two of the layers must be called otherwise: their keys are the same")


def build(settings: Settings, site: Site) -> OverlayExport:
    """Make the export.

    :raises ConfigError: if a layer is no export, or an overlay.
    """
    for name in settings.layers:
        plugin = site.exports.get(name.text)
        if plugin is None or plugin == "overlay":
            what = "an overlay: name its layers" if plugin else "no export"
            raise ConfigError(name.location, f"layers: {name.text} is {what}")
    versioned = site.exports[settings.layers[-1].text] == "image"
    return (VersionedOverlayExport if versioned else OverlayExport)(settings, site)


@implementer(IExport)
class OverlayExport:
    """A tree for each machine that has layers of its own."""

    def __init__(self, settings: Settings, site: Site) -> None:
        self._names = tuple(name.text for name in settings.layers)
        self._hidden = settings.hide
        self._site = site
        self._layers: Recent[tuple[str, IFileTree], Layer] = Recent(_TREES * 2)
        self._trees: Recent[tuple[IFileTree, ...], IFileTree] = Recent(_TREES)

    def tree(self, request: BootRequest) -> IFileTree:
        """Return the tree that a machine's layers make."""
        trees = tuple(self._site.boot.export(name).tree(request) for name in self._names)
        found = self._trees.get(trees)
        if found is None:
            found = self._made(trees)
            self._trees.put(trees, found)
        return found

    def _made(self, trees: tuple[IFileTree, ...]) -> IFileTree:
        layers = [self._layer(*each) for each in zip(self._names, trees, strict=True)]
        return OverlayTree(layers, self._hidden, self._site.reactor.seconds)

    def _layer(self, name: str, tree: IFileTree) -> Layer:
        """Return what machines with the same tree share."""
        found = self._layers.get((name, tree))
        if found is None:
            found = Layer(name, tree, self._site.reactor.seconds)
            self._layers.put((name, tree), found)
        return found


@implementer(IVersioned)
class VersionedOverlayExport(OverlayExport):
    """The same above each version of the image that is the lowest layer."""

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._versions: Recent[tuple[IFileTree, tuple[bytes, ...]], Below] = Recent(_VERSIONS)

    @property
    def image(self) -> str:
        """The name of the image."""
        return str(self._images.image)

    def place(self, version: str, path: str) -> str:
        """Return where a path of the root is in the export, in this version."""
        return str(self._images.place(version, path))

    @property
    def _images(self) -> Any:
        return self._site.boot.export(self._names[-1])

    def _made(self, trees: tuple[IFileTree, ...]) -> IFileTree:
        *upper, images = trees

        def place_of(version: bytes) -> tuple[bytes, ...]:
            return tuple(os.fsencode(self.place(os.fsdecode(version), "")).split(b"/"))

        def above(version: Below) -> IFileTree:
            shared = self._versions.get((images, version.names))
            if shared is None:
                shared = version
                self._versions.put((images, version.names), version)
            return super(VersionedOverlayExport, self)._made((*upper, shared))

        return VersionsTree(images, place_of, above)
