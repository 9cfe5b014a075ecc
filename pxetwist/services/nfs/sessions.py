"""Which machine calls, and what it may see: the root that its plan names, and what it was given
before, as long as its system runs.
"""

from __future__ import annotations

import attrs

from pxetwist.errors import TreeError
from pxetwist.exchange.filehandles import mark
from pxetwist.exchange.nfs3 import Session
from pxetwist.exchange.nfs_nodes import ASKING_DIRECTORY, NfsError, Node, Nodes, View, fsid_of
from pxetwist.interfaces import Site
from pxetwist.model.boot import BootRequest, BootStage, Endpoints, Protocol, Resolution, Verdict
from pxetwist.model.nfs_root import NfsRoot
from pxetwist.model.recent import Recent
from pxetwist.services.nfs.rpc import Client
from pxetwist.wire.nfs3 import Status

#: So many machines are remembered, at least.
_MACHINES = 2048
#: So long (seconds) it is believed who speaks from an address, without a connection.
_BELIEVED = 30.0


@attrs.define(eq=False)
class Visitor:
    """A machine, what is decided for it, and its views by the marks of export and root."""

    key: str
    request: BootRequest
    views: dict[tuple[bytes, bytes], View] = attrs.field(factory=dict)
    mounted: dict[bytes, None] = attrs.field(factory=dict)


class Sessions:
    """Knows the machines that call."""

    def __init__(self, site: Site, nodes: Nodes) -> None:
        self._site = site
        self._nodes = nodes
        self._visitors: Recent[str, Visitor] = Recent(_MACHINES)

    async def session(self, client: Client) -> Session:
        """Return that of a caller, and keep it with it.

        :raises NfsError: ACCES for a stranger; JUKEBOX (ask again) if that cannot be known now.
        """
        visitor, resolution = await self._visit(client, BootStage.ROOT)
        broken = resolution is not None and resolution.verdict is Verdict.BROKEN
        if broken and visitor.request.machine is None:
            raise NfsError(Status.JUKEBOX)
        now = self._site.reactor.seconds()
        client.session = Session(
            visitor.key, lambda export, top: self._view(visitor, export, top), client.largest_read
        )
        client.until = float("inf") if client.stream else now + _BELIEVED
        return client.session

    async def plan(self, client: Client, stage: BootStage) -> Visitor:
        """Return a machine with what is decided for it now.

        :raises NfsError: ACCES for a stranger, JUKEBOX if that cannot be known now.
        """
        visitor, resolution = await self._visit(client, stage, anew=True)
        if resolution is not None and resolution.verdict is Verdict.BROKEN:
            raise NfsError(Status.JUKEBOX)
        return visitor

    async def _visit(
        self, client: Client, stage: BootStage, *, anew: bool = False
    ) -> tuple[Visitor, Resolution | None]:
        boot, now = self._site.boot, self._site.reactor.seconds()
        identity, boot_id = await boot.identify(client.address, now)
        if not identity.key:
            raise NfsError(Status.ACCES)
        visitor = self._visitors.get(identity.key)
        if visitor is not None and visitor.request.machine is not None and not anew:
            return visitor, None
        endpoints = Endpoints(client.local.partition("%")[0], self._site.http_port)
        request = BootRequest(identity, stage, Protocol.NFS, endpoints=endpoints, boot_id=boot_id)
        resolution: Resolution = await boot.resolve(request)
        if visitor is None:
            visitor = Visitor(identity.key, resolution.request)
            self._visitors.put(identity.key, visitor)
        visitor.request = resolution.request
        return visitor, resolution

    def mount(self, visitor: Visitor, root: NfsRoot, below: tuple[bytes, ...]) -> Node:
        """Return the directory `below` the root of a machine, which it may see from now on.

        :raises NfsError: if there is none.
        """
        now = self._site.reactor.seconds()
        export = self._site.boot.export(root.export)
        if export is None:
            raise NfsError(Status.NOENT)
        with ASKING_DIRECTORY:
            tree = export.tree(visitor.request)
            top = tree.root()
            for name in filter(None, root.path.encode().split(b"/")):
                top = tree.look_up(top, name)
        name_mark = mark(root.export.encode())
        place = name_mark, mark(top)
        view = visitor.views.get(place)
        if view is None or view.tree is not tree:
            view = View(visitor.key, *place, tree, fsid_of(root.export))
            visitor.views[place] = view
        node = self._nodes.of(view, top, now)
        for name in below:
            node = self._nodes.child(node, name, now)
        return node

    def _view(self, visitor: Visitor, export: bytes, top: bytes) -> View:
        """Return the view of handles that were given before: before a restart, in the boot that
        still runs while the next one is planned.
        """
        known = visitor.views.get((export, top))
        if known is not None:
            return known
        boot = self._site.boot
        for name in boot.export_names():
            if mark(name.encode()) == export:
                try:
                    tree = boot.export(name).tree(visitor.request)
                except TreeError:
                    break
                view = View(visitor.key, export, top, tree, fsid_of(name))
                visitor.views[export, top] = view
                return view
        raise NfsError(Status.STALE)
