"""Plans that name an image's current version get the one that this is now, in all their parts.

So kernel, initramfs and root of one boot are of one version, whatever becomes current meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import attrs
from twisted.internet.defer import Deferred

from pxetwist.errors import StateUnavailable
from pxetwist.file_tree import IVersioned
from pxetwist.interfaces import IBoot, Site
from pxetwist.model.boot import BootPlan, BootRequest
from pxetwist.model.boots import Boot, Files, Menu
from pxetwist.model.image_use import CURRENT, FOLDER, LIMIT, TOPIC, ImageUse, name_of
from pxetwist.model.nfs_root import NfsRoot

#: In every path that names what is current.
_MOVES = f"/{CURRENT}/"


class Versions:
    """Knows which versions are current, and notes which machines were told to start them."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._images = site.state_folder / FOLDER

    def pin(self, plan: BootPlan, request: BootRequest) -> BootPlan:
        """Return the plan with versions in the place of what is current."""
        pins = _Pins(self._images, self._site.boot)
        boot = plan.boot
        if isinstance(boot, Files):
            pinned = pins.files(boot)
            plan = plan if pinned is boot else attrs.evolve(plan, boot=pinned)
        elif isinstance(boot, Menu):
            entries = [
                attrs.evolve(each, boot=pins.files(each.boot))
                if isinstance(each.boot, Files)
                else each
                for each in boot.entries
            ]
            plan = attrs.evolve(plan, boot=attrs.evolve(boot, entries=tuple(entries)))
        if pins.found and not self._site.boot.rehearsal:
            self._note(pins.found, request)
        return plan

    def moves(self, boot: Boot) -> bool:
        """Whether it names what is current, be there a version or not."""
        return isinstance(boot, Files) and _Pins(self._images, self._site.boot).moves(boot)

    def _note(self, versions: Mapping[str, str], request: BootRequest) -> None:
        """Remember who has which version; the machine does not wait for that."""
        now = self._site.reactor.seconds()
        who = name_of(request.machine, request.identity)
        uses = [ImageUse(who, image, version, now) for image, version in versions.items()]
        notes = {each.key: each.text() for each in uses}
        leases = self._site.boot.leases
        work = Deferred.fromCoroutine(leases.remember(TOPIC, notes, LIMIT, now))
        work.addErrback(lambda failure: self._forgotten(failure.trap(StateUnavailable)))

    def _forgotten(self, error: object) -> None:
        self._site.log.warn("it is not stored who starts which image: the state is away")


class _Pins:
    """The versions of images for one plan; each link is read once."""

    def __init__(self, images: Path, boot: IBoot) -> None:
        self._images = images
        self._boot = boot
        self.found: dict[str, str] = {}

    def files(self, files: Files) -> Files:
        """Return it with versions."""
        if not self.moves(files):
            return files
        kernel, initrds = self._path(files.kernel), tuple(map(self._path, files.initrds))
        root = self._root(files.root) if files.root else None
        if (kernel, initrds, root) == (files.kernel, files.initrds, files.root):
            return files
        return attrs.evolve(files, kernel=kernel, initrds=initrds, root=root)

    def moves(self, files: Files) -> bool:
        """Whether they, or their root, may have versions."""
        root = files.root
        return _MOVES in " ".join((files.kernel, *files.initrds)) or (
            root is not None and IVersioned.providedBy(self._boot.export(root.export))
        )

    def _path(self, path: str) -> str:
        parts = path.lstrip("/").split("/")
        if len(parts) < 4 or (parts[0], parts[2]) != (FOLDER, CURRENT):
            return path
        parts[2] = self._version(parts[1]) or CURRENT
        return "/".join(parts)

    def _root(self, root: NfsRoot) -> NfsRoot:
        export = self._boot.export(root.export)
        if not IVersioned.providedBy(export):
            return root
        version = self._version(export.image)
        return attrs.evolve(root, path=export.place(version, root.path)) if version else root

    def _version(self, image: str) -> str:
        if image not in self.found:
            try:
                self.found[image] = os.readlink(self._images / image / CURRENT).rstrip("/")
            except OSError:
                return ""
        return self.found[image]
