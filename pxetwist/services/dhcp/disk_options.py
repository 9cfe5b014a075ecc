"""What systems are told by DHCP of their machine's iSCSI disk (RFC 4173)."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.logger import Logger

from pxetwist.errors import PolicyError
from pxetwist.interfaces import IBoot
from pxetwist.model.boot import BootRequest, BootStage
from pxetwist.model.boots import Iscsi
from pxetwist.model.lease import Layer
from pxetwist.wire.options import OptionCode

_log = Logger(namespace="pxetwist.options")


def disk_options(
    boot: IBoot, request: BootRequest, layers: Sequence[Layer] = ()
) -> dict[int, bytes]:
    """Return root path and initiator's name for the system of a machine whose profile gives it a
    disk without a login; `layers` are what the site says, which may name another disk.

    An iPXE that reads a root path hooks the disk before its script does, which then cannot.
    """
    disk = request.plan.boot if request.plan else None
    if not isinstance(disk, Iscsi) or disk.answer or request.stage is not BootStage.KERNEL:
        return {}
    said = {code for layer in layers for code in layer.options}
    if OptionCode.ROOT_PATH in said:
        return {}
    try:
        found = boot.disk(request)
    except PolicyError as error:
        _log.warn("left out the root path: {error}", error=str(error))
        return {}
    if found is None:
        return {}
    options = {OptionCode.ROOT_PATH: found.uri, OptionCode.IPXE_INITIATOR: found.initiator}
    return {code: value.encode() for code, value in options.items() if value and code not in said}
