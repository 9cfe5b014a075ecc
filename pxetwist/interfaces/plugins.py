"""What makes plugins, and what they are given."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.logger import Logger
from zope.interface import Attribute, Interface

from pxetwist.model.client_class import ClientClass
from pxetwist.model.lease import Network
from pxetwist.model.network6 import Network6
from pxetwist.model.nfs_root import MOUNT_OPTIONS
from pxetwist.model.profile import BootProfile


@attrs.frozen
class Port:
    """A port to listen on: `protocol` is ``udp`` or ``tcp``, `interface` limits it to one."""

    protocol: str
    address: str
    number: int
    interface: str = ""


@attrs.frozen
class Site:
    """What a plugin instance is given; nothing in pxetwist is global.

    `name` is the instance's (``rack`` of ``[hosts:rack]``), `folder` that of the INI (relative
    paths start there), `state_folder` where it may write. `reactor` is the real one, and is
    also the clock. `profiles`, `networks` and `networks6` are those of the INI, by name,
    `classes` its classes of clients in their order. `https` says that there are URLs of HTTPS,
    `log_server` that machines may send us what they log. `nfs_options` are those with which they
    mount our `exports`, which are the plugins of these by their names. `worker` is the number of
    the process, from 1 on, if it is one of several that serve contents; it has `inherited` the
    sockets of its ports. `directories` are the names of those that machines are looked for in.
    """

    name: str
    reactor: Any
    log: Logger
    folder: Path
    state_folder: Path
    boot: Any  # IBoot; mypy-zope cannot see through an attribute
    profiles: Mapping[str, BootProfile] = attrs.field(factory=dict)
    networks: Mapping[str, Network] = attrs.field(factory=dict)
    networks6: Mapping[str, Network6] = attrs.field(factory=dict)
    classes: Sequence[ClientClass] = ()
    http_port: int = 80
    https: bool = False
    log_server: bool = False
    nfs_options: str = MOUNT_OPTIONS
    worker: int = 0
    inherited: Mapping[Port, socket.socket] = attrs.field(factory=dict)
    exports: Mapping[str, str] = attrs.field(factory=dict)
    directories: Sequence[str] = ()


class IPluginFactory(Interface):
    """What a dropin, a file in the site folder or an entry point provides."""

    kind: str = Attribute("hosts, policy, state, content, export, observer or service")
    name: str = Attribute("its name in the INI")
    summary: str = Attribute("one line about it")

    def settings() -> type:
        """Return the frozen attrs class of `option()` fields that its section is bound to."""

    def build(settings: Any, site: Site) -> object:
        """Make the instance; one that provides IService is started and stopped.

        It may read files that a person wrote, so that their mistakes show at once; all other IO
        belongs to the start.
        """
