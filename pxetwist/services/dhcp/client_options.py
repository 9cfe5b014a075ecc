"""What a client is told: machine before class before subnet before shared network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import attrs
from twisted.logger import Logger

from pxetwist.exchange import dhcp4_options, dhcp4_replies
from pxetwist.exchange.dhcp4 import NOWHERE
from pxetwist.exchange.dhcp4_replies import Told
from pxetwist.model.boot import BootRequest
from pxetwist.model.client_class import ClientClass
from pxetwist.model.lease import Layer, LeaseTimes, Network
from pxetwist.model.machine import Machine
from pxetwist.wire.option_text import Place, assembled, parse_option
from pxetwist.wire.options import OptionCode

#: So many combinations of networks and classes are remembered.
_MOST = 4096
#: And so many machines.
_MACHINES = 16_384
_log = Logger(namespace="pxetwist.options")

#: Labels of this prefix are options of a machine.
PREFIX = "option."


@attrs.frozen(eq=False)
class ClientView:
    """One client in one network: the classes that it is in, and all that it is told.

    `layers` are the weakest first.
    """

    network: Network
    classes: tuple[ClientClass, ...]
    lease_times: LeaseTimes
    layers: tuple[Layer, ...]
    told: Told


class ClientOptions:
    """Finds out what clients are told; classes that stand earlier in the INI win."""

    def __init__(self, classes: Sequence[ClientClass] = ()) -> None:
        self._classes = tuple(classes)
        self._views: dict[tuple[str, tuple[str, ...]], ClientView] = {}
        self._own: dict[str, tuple[Machine, ClientView, ClientView]] = {}

    def view(self, request: BootRequest, network: Network, now: float) -> ClientView:
        """Return what the client of a resolved request is told in a network."""
        classes = tuple(
            each for each in self._classes if each.holds_in(network) and each.matches(request, now)
        )
        key = (network.name, tuple(each.name for each in classes))
        view = self._views.get(key)
        if view is None:
            if len(self._views) > _MOST:
                self._views.clear()
            view = self._views[key] = _view(network, classes)
        if request.machine is None:
            return view
        return self._of_machine(request.machine, view)

    def _of_machine(self, machine: Machine, view: ClientView) -> ClientView:
        """Return what a machine is told that would be told a view if it were none of ours."""
        known = self._own.get(machine.name)
        if known is not None and known[0] is machine and known[1] is view:
            return known[2]
        layer = machine_layer(machine)
        theirs = view.told
        options = dhcp4_options.told([layer], theirs.options)
        said = Told(options, theirs.always, theirs.next_server)
        own = ClientView(view.network, view.classes, view.lease_times, (*view.layers, layer), said)
        if len(self._own) >= _MACHINES:
            self._own.clear()
        self._own[machine.name] = (machine, view, own)
        return own


def _view(network: Network, classes: tuple[ClientClass, ...]) -> ClientView:
    """Return what all clients of these classes are told."""
    layers = dhcp4_options.network_layers(network)
    layers += tuple(each.layer for each in reversed(classes))
    always = frozenset[int]().union(*(layer.always for layer in layers))
    servers = [layer.next_server for layer in layers if layer.next_server is not None]
    said = Told(dhcp4_options.told(layers), always, servers[-1] if servers else NOWHERE)
    times = dhcp4_options.lease_times(network, [each.lease_times for each in classes])
    return ClientView(network, classes, times, layers, said)


def machine_layer(machine: Machine) -> Layer:
    """Return what a directory says for one machine: its name, and its labels `option.NAME`."""
    origin = f"machine {machine.name}"
    name: dict[int, bytes] = {OptionCode.HOST_NAME: machine.name.encode()}
    said = tuple(pair for pair in machine.labels.items() if pair[0].startswith(PREFIX))
    if not said:
        return Layer(origin, name)
    options, mistakes = _own_options(origin, said)
    return Layer(origin, name | options, mistakes=mistakes)


@lru_cache(maxsize=16384)
def _own_options(
    origin: str, said: tuple[tuple[str, str], ...]
) -> tuple[dict[int, bytes], tuple[str, ...]]:
    values: dict[Place, bytes] = {}
    mistakes = []
    for label, text in said:
        try:
            place, raw = parse_option(label.removeprefix(PREFIX), text)
            _assembled({place: raw})
        except ValueError as error:
            mistakes.append(f"{label}: {error}")
        else:
            values[place] = raw
    options: dict[int, bytes] = {}
    try:
        options = _assembled(values)
    except ValueError as error:
        mistakes.append(str(error))
    for mistake in mistakes:
        _log.warn("{origin}: left out {mistake}", origin=origin, mistake=mistake)
    return options, tuple(mistakes)


def _assembled(values: Mapping[Place, bytes]) -> dict[int, bytes]:
    return assembled(values, frozenset(dhcp4_replies.LONG))
