"""The programs NFS, MOUNT and portmapper for callers whose machine must be found out first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine, Iterable
from typing import Any

from twisted.internet.task import deferLater

from pxetwist.errors import TreeError
from pxetwist.exchange.nfs3 import Nfs3, Session
from pxetwist.exchange.nfs_nodes import NfsError, Node
from pxetwist.exchange.oncrpc import Body, Program, Refused
from pxetwist.interfaces import Site
from pxetwist.model.boot import BootStage
from pxetwist.model.event import EventKind
from pxetwist.model.file_tree import FileKind
from pxetwist.model.nfs_root import NfsRoot
from pxetwist.services import requests
from pxetwist.services.nfs.rpc import Client
from pxetwist.services.nfs.sessions import Sessions, Visitor
from pxetwist.wire import mount, nfs3, nfsacl, portmap
from pxetwist.wire.mount import Mount, MountStatus
from pxetwist.wire.nfs3 import Procedure, Status
from pxetwist.wire.oncrpc import AuthStatus, Call, auth_error, program_mismatch
from pxetwist.wire.portmap import NETIDS, Mapping, Portmap, Rpcbind
from pxetwist.wire.xdr import opaque

#: Ports below this only a machine's root may take.
_PRIVILEGED = 1024
#: So many mounts of one machine are listed.
_MOUNTS = 32
_LOADER = b"iPXE"
#: So many seconds a mount waits for a tree.
_PATIENCE = 20


class Gate:
    """Lets machines call from ports that their own users cannot take."""

    def __init__(self, privileged: bool, counters: Counter[str]) -> None:
        self._privileged = privileged
        self._counters = counters

    def check(self, client: Client, call: Call) -> None:
        """Look at a caller.

        :raises Refused: if it calls from another port.
        """
        if self._privileged and client.port >= _PRIVILEGED:
            self._counters["calls from ports of users"] += 1
            raise Refused(auth_error(call.xid, AuthStatus.TOO_WEAK))


class NfsProgram:
    """NFS, version 3."""

    def __init__(
        self, site: Site, sessions: Sessions, nfs: Nfs3, gate: Gate, counters: Counter[str]
    ) -> None:
        self._site, self._sessions, self._nfs = site, sessions, nfs
        self._gate, self._counters = gate, counters
        self._names = {each.value: f"nfs {each.name.lower()}" for each in Procedure}

    def program(self) -> Program[Client]:
        """Return its procedures."""
        procedures = {each.value: self.answer for each in Procedure if each.value}
        return Program(nfs3.PROGRAM, {nfs3.VERSION: procedures})

    def answer(self, client: Client, call: Call) -> Body | Coroutine[Any, Any, Body]:
        """Answer a call, at once if it is known whose it is."""
        now = self._site.reactor.seconds()
        session = client.session
        if session is None or now > client.until:
            self._gate.check(client, call)
            return self._later(client, call)
        self._counters[self._names[call.procedure]] += 1
        return self._result(session, call, now)

    async def _later(self, client: Client, call: Call) -> Body:
        try:
            session = await self._sessions.session(client)
        except NfsError as error:
            self._counters[f"nfs of {_REFUSALS[error.status]}"] += 1
            return self._failure(call, error.status)
        self._counters[self._names[call.procedure]] += 1
        return self._result(session, call, self._site.reactor.seconds())

    def _failure(self, call: Call, status: Status) -> Body:
        return nfs3.failure(call.procedure, status)

    def _result(self, session: Session, call: Call, now: float) -> Body:
        return self._nfs.answer(session, call, now)


class AclProgram(NfsProgram):
    """Lists of access, of the same files."""

    def __init__(
        self, site: Site, sessions: Sessions, nfs: Nfs3, gate: Gate, counters: Counter[str]
    ) -> None:
        super().__init__(site, sessions, nfs, gate, counters)
        self._names = {each.value: f"nfs {each.name.lower()}" for each in nfsacl.Procedure}

    def program(self) -> Program[Client]:
        """Return its procedures."""
        procedures = {each.value: self.answer for each in nfsacl.Procedure if each.value}
        return Program(nfsacl.PROGRAM, {nfsacl.VERSION: procedures})

    def _failure(self, call: Call, status: Status) -> Body:
        return nfsacl.failure(status)

    def _result(self, session: Session, call: Call, now: float) -> Body:
        return self._nfs.access_list(session, call, now)


#: Why nobody is given anything, for counters.
_REFUSALS = {Status.ACCES: "strangers", Status.JUKEBOX: "machines that could not be told apart"}


class MountProgram:
    """MOUNT, versions 1 and 3; handles are given by 3 only, for those of 1 are of NFS 2."""

    def __init__(self, site: Site, sessions: Sessions, gate: Gate, counters: Counter[str]) -> None:
        self._site, self._sessions = site, sessions
        self._gate, self._counters = gate, counters
        self._told = -1  # the second in which the log was told of a stranger

    def program(self) -> Program[Client]:
        """Return its procedures."""
        both = {
            Mount.DUMP.value: self._dump,
            Mount.UMNT.value: self._unmount,
            Mount.UMNTALL.value: self._unmount,
            Mount.EXPORT.value: self._export,
        }
        one = {**both, Mount.MNT.value: self._of_version_2}
        return Program(mount.PROGRAM, {1: one, 3: {**both, Mount.MNT.value: self._mount}})

    def _of_version_2(self, client: Client, call: Call) -> Body:
        raise Refused(program_mismatch(call.xid, 3, 3))

    async def _mount(self, client: Client, call: Call) -> Body:
        self._gate.check(client, call)
        path = mount.decode_path(call.data, call.at)
        stage = BootStage.LOADER if call.caller.machine == _LOADER else BootStage.ROOT
        try:
            visitor = await self._sessions.plan(client, stage)
        except NfsError as error:
            self._counters[f"mounts of {_REFUSALS[error.status]}"] += 1
            self._tell_refused(client, _REFUSALS[error.status])
            return mount.encode_refused(_status(error))
        try:
            node = await self._known(visitor, path)
        except NfsError as error:
            self._tell(visitor, path, stage, error)
            return mount.encode_refused(_status(error))
        self._tell(visitor, path, stage, None)
        if len(visitor.mounted) < _MOUNTS:
            visitor.mounted[path] = None
        await self._sessions.session(client)
        return mount.encode_mounted(node.handle)

    def _tell_refused(self, client: Client, whom: str) -> None:
        """Log that somebody has no root, once a second: they choose how often they ask."""
        second = int(self._site.reactor.seconds())
        if second != self._told:
            self._told = second
            self._site.log.info(
                "{address} may not mount: nothing is for {whom}", address=client.address, whom=whom
            )

    async def _known(self, visitor: Visitor, path: bytes) -> Node:
        """Return the directory of a path; wait for a tree that is being read, because nothing in
        the protocol tells a machine to mount later.
        """
        for _ in range(_PATIENCE):
            try:
                return self._found(visitor, path)
            except NfsError as error:
                if error.status is not Status.JUKEBOX:
                    raise
            await deferLater(self._site.reactor, 1.0)
        return self._found(visitor, path)

    def _found(self, visitor: Visitor, path: bytes) -> Node:
        parts = tuple(part for part in path.split(b"/") if part not in (b"", b"."))
        root, below = chosen(_roots(visitor), parts)
        node = self._sessions.mount(visitor, root, below)
        if node.facts.kind is not FileKind.DIRECTORY:
            raise NfsError(Status.NOTDIR)
        return node

    def _tell(
        self, visitor: Visitor, path: bytes, stage: BootStage, error: NfsError | None
    ) -> None:
        """Note where the machine is, and tell everybody."""
        request, boot = visitor.request, self._site.boot
        place = path.decode("utf-8", "backslashreplace")
        if error is not None:
            self._counters["mounts refused"] += 1
            why = f": {error.__cause__}" if isinstance(error.__cause__, TreeError) else ""
            said = f"may not mount {place}: {error.status.name}{why}"
            requests.tell_of(self._site, request, EventKind.FAILED, said, {"path": place})
            return
        self._counters["mounts"] += 1
        boot.see(request.identity, stage, self._site.reactor.seconds())
        requests.tell_of(
            self._site, request, EventKind.MOUNTED, f"mounted {place}", {"path": place}
        )

    async def _dump(self, client: Client, call: Call) -> Body:
        try:
            visitor = await self._sessions.plan(client, BootStage.ROOT)
        except NfsError:
            return mount.encode_mounts(())
        host = client.address.encode()
        return mount.encode_mounts((host, path) for path in visitor.mounted)

    async def _unmount(self, client: Client, call: Call) -> Body:
        try:
            visitor = await self._sessions.plan(client, BootStage.ROOT)
        except NfsError:
            return b""
        if call.procedure == Mount.UMNT:
            visitor.mounted.pop(mount.decode_path(call.data, call.at), None)
        else:
            visitor.mounted.clear()
        return b""

    async def _export(self, client: Client, call: Call) -> Body:
        try:
            visitor = await self._sessions.plan(client, BootStage.ROOT)
        except NfsError:
            return mount.encode_exports(())
        return mount.encode_exports(each.mount_path.encode() for each in _roots(visitor))


def _roots(visitor: Visitor) -> tuple[NfsRoot, ...]:
    return visitor.request.plan.roots if visitor.request.plan else ()


def chosen(
    roots: Iterable[NfsRoot], parts: tuple[bytes, ...]
) -> tuple[NfsRoot, tuple[bytes, ...]]:
    """Find the root that a path leads into; return it, and the names below it.

    :raises NfsError: if there is none: what is elsewhere is nobody's to know.
    """
    for root in roots:
        own = tuple(root.mount_path.encode().strip(b"/").split(b"/"))
        if parts[: len(own)] == own:
            return root, parts[len(own) :]
    raise NfsError(Status.ACCES)


def _status(error: NfsError) -> MountStatus:
    found = MountStatus(error.status.value)
    return found if found.name in MountStatus.__members__ else MountStatus.SERVERFAULT


class PortmapProgram:
    """The portmapper, version 2, and rpcbind, versions 3 and 4, of our own programs only."""

    def __init__(self, found: Iterable[Mapping]) -> None:
        self._found = tuple(found)

    def program(self) -> Program[Client]:
        """Return its procedures."""
        three = {Rpcbind.GETADDR.value: self._address, Rpcbind.DUMP.value: self._bindings}
        two = {Portmap.GETPORT.value: self._port, Portmap.DUMP.value: self._mappings}
        four = {**three, Rpcbind.GETVERSADDR.value: self._address}
        return Program(portmap.PROGRAM, {2: two, 3: three, 4: four})

    def _port(self, client: Client, call: Call) -> Body:
        asked = portmap.decode_mapping(call.data, call.at)
        return self._at(asked.program, asked.version, asked.transport).to_bytes(4, "big")

    def _at(self, program: int, version: int, transport: int) -> int:
        """Return a port, also for a version that is not there: its absence is the program's to
        tell (RFC 1833 §3.2).
        """
        same = [e for e in self._found if (e.program, e.transport) == (program, transport)]
        exact = [each for each in same if each.version == version]
        return next((each.port for each in (*exact, *same)), 0)

    def _mappings(self, client: Client, call: Call) -> Body:
        return portmap.encode_mappings(self._found)

    def _address(self, client: Client, call: Call) -> Body:
        program, version, netid = portmap.decode_binding(call.data, call.at)
        transport = portmap.UDP if netid.startswith(b"udp") else portmap.TCP
        port = self._at(program, version, transport)
        host = client.local.partition("%")[0]
        return opaque(portmap.universal_address(host, port).encode() if port else b"")

    def _bindings(self, client: Client, call: Call) -> Body:
        host = client.local.partition("%")[0]
        family = 6 if ":" in host else 4
        return portmap.encode_bindings(
            (each, NETIDS[each.transport, family], portmap.universal_address(host, each.port))
            for each in self._found
        )
