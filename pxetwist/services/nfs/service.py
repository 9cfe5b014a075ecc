"""The NFS service: roots for machines, read-only, each machine its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IAddress, IListeningPort
from zope.interface import implementer

from pxetwist.config import fields
from pxetwist.config.fields import option
from pxetwist.errors import StartError
from pxetwist.exchange.nfs3 import Nfs3
from pxetwist.exchange.nfs_nodes import Nodes
from pxetwist.interfaces import IBootService, ICounts, Port, Site
from pxetwist.services.listening import (
    OwnAddress,
    addresses_option,
    addresses_to_take,
    listen_tcp,
    udp_socket,
)
from pxetwist.services.nfs.files import OpenFiles
from pxetwist.services.nfs.programs import (
    AclProgram,
    Gate,
    MountProgram,
    NfsProgram,
    PortmapProgram,
)
from pxetwist.services.nfs.rpc import RpcDatagrams, RpcServer
from pxetwist.services.nfs.rpc_streams import RpcStreams
from pxetwist.services.nfs.sessions import Sessions
from pxetwist.services.sockets import DatagramFactory
from pxetwist.services.udp import UdpPorts
from pxetwist.wire import mount, nfs3, portmap
from pxetwist.wire.portmap import TCP, UDP

_SIGNED = "nfs "


@attrs.frozen
class Settings:
    """Options of ``[service:nfs]``."""

    addresses: tuple[OwnAddress, ...] = addresses_option()
    port: int = option(fields.port, default=nfs3.PORT, doc="Port of NFS, by TCP and UDP.")
    mount_port: int = option(
        fields.port, default=mount.PORT, doc="Port of the mount protocol, by TCP and UDP."
    )
    portmapper: bool = option(
        fields.boolean,
        default=True,
        doc="Answer on port 111 as well, unless another portmapper is there: iPXE asks one.",
    )
    privileged_ports: bool = option(
        fields.boolean,
        default=True,
        doc="Take calls from ports below 1024 only, so that a machine's users see what its"
        " kernel lets them.",
    )
    connections: int = option(
        fields.integer(1), default=2048, doc="Connections at a time, of all machines."
    )
    connections_per_address: int = option(
        fields.integer(1), default=64, doc="Connections of one address at a time."
    )


def build(settings: Settings, site: Site) -> NfsService:
    """Make the service."""
    return NfsService(settings, site)


@implementer(IBootService, ICounts)
class NfsService(Service):
    """Serves NFS version 3 with its mount protocol and a portmapper, over TCP and UDP."""

    def __init__(
        self,
        settings: Settings,
        site: Site,
        datagram: DatagramFactory = udp_socket,
        listen: Any = listen_tcp,
    ) -> None:
        self.settings = settings
        self.counters: Counter[str] = Counter()
        self._site = site
        self._listen = listen
        self._ports: list[IListeningPort] = []
        self._udp = UdpPorts(site, datagram)
        self._files = OpenFiles()
        boot = site.boot
        nodes = Nodes(lambda body, machine: boot.sign(body, _SIGNED + machine))
        sessions = Sessions(site, nodes)
        gate = Gate(settings.privileged_ports, self.counters)
        nfs = Nfs3(nodes, self._files.read)
        programs = (
            NfsProgram(site, sessions, nfs, gate, self.counters).program(),
            AclProgram(site, sessions, nfs, gate, self.counters).program(),
            MountProgram(site, sessions, gate, self.counters).program(),
            PortmapProgram(_mappings(settings)).program(),
        )
        self.server = RpcServer({each.number: each for each in programs}, site.log, self.counters)
        self.streams = RpcStreams(
            self.server, site.reactor, settings.connections, settings.connections_per_address
        )
        self.datagrams: list[RpcDatagrams] = []

    def counts(self) -> Mapping[str, int]:
        """Return how often each procedure was called, and what was refused."""
        return {**self.counters, "connections": len(self.streams.connections)}

    def listening(self) -> Sequence[IAddress]:
        """Return the addresses of its ports and sockets."""
        streams = [each.getHost() for each in self._ports]
        return [*streams, *self._udp.listening()]

    def privilegedStartService(self) -> None:
        """Take the ports, while there are the rights for it.

        :raises StartError: if one cannot be taken.
        """
        super().privilegedStartService()
        for address in addresses_to_take(self.settings.addresses):
            for port in dict.fromkeys((self.settings.port, self.settings.mount_port)):
                self._take(address, port)
            if self.settings.portmapper:
                try:
                    self._take(address, portmap.PORT)
                except StartError as error:
                    self._site.log.warn(
                        "no portmapper of ours: {error}; clients must be told our ports,"
                        " as kernels are (mend: portmapper = no, or stop rpcbind)",
                        error=error,
                    )

    def _take(self, address: str, port: int) -> None:
        receiver = RpcDatagrams(self.server)
        receiver.socket = self._udp.take(Port("udp", address, port), receiver)
        try:
            taken = self._listen(self._site.reactor, self.streams, address, port)
        except StartError:
            self._udp.give_back(receiver.socket)
            raise
        self.datagrams.append(receiver)
        self._ports.append(taken)

    def startService(self) -> None:
        """Begin to answer."""
        super().startService()
        if not self._ports:
            self.privilegedStartService()
        self._udp.start()

    def stopService(self) -> Deferred[Any]:
        """Answer nobody any more: clients wait, and come again."""
        super().stopService()
        closing = [maybeDeferred(port.stopListening) for port in self._ports]
        self._udp.stop()
        for receiver in self.datagrams:
            receiver.stop()
        self.streams.stop()
        self._files.close()
        self._ports.clear()
        self.datagrams.clear()
        return DeferredList(closing)


def _mappings(settings: Settings) -> Iterable[portmap.Mapping]:
    """Yield where everything is."""
    for program, versions, port in (
        (portmap.PROGRAM, (2, 3, 4), portmap.PORT),
        (mount.PROGRAM, (1, 3), settings.mount_port),
        (nfs3.PROGRAM, (nfs3.VERSION,), settings.port),
    ):
        for version in versions:
            for transport in (TCP, UDP):
                yield portmap.Mapping(program, version, transport, port)
