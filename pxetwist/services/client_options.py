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
from pxetwist.model.lease import Layer, Network
from pxetwist.model.machine import Machine
from pxetwist.wire.option_text import Place, assembled, parse_option
from pxetwist.wire.options import OptionCode

#: So many combinations of networks and classes are remembered.
_MOST = 4096
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
    layers: tuple[Layer, ...]
    told: Told


class ClientOptions:
    """Finds out what clients are told; classes that stand earlier in the INI win."""

    def __init__(self, classes: Sequence[ClientClass] = ()) -> None:
        self._classes = tuple(classes)
        self._shared: dict[tuple[str, tuple[str, ...]], ClientView] = {}

    def view(self, request: BootRequest, network: Network, now: float) -> ClientView:
        """Return what the client of a resolved request is told in a network."""
        classes = tuple(
            each for each in self._classes if each.holds_in(network) and each.matches(request, now)
        )
        key = (network.name, tuple(each.name for each in classes))
        view = self._shared.get(key)
        if view is None:
            if len(self._shared) > _MOST:
                self._shared.clear()
            layers = dhcp4_options.network_layers(network)
            layers += tuple(each.layer for each in reversed(classes))
            view = self._shared[key] = ClientView(network, classes, layers, _told(layers))
        if request.machine is None:
            return view
        layers = (*view.layers, machine_layer(request.machine))
        return attrs.evolve(view, layers=layers, told=_told(layers))


def _told(layers: Sequence[Layer]) -> Told:
    always = frozenset[int]().union(*(layer.always for layer in layers))
    servers = [layer.next_server for layer in layers if layer.next_server is not None]
    return Told(dhcp4_options.told(layers), always, servers[-1] if servers else NOWHERE)


def machine_layer(machine: Machine) -> Layer:
    """Return what a directory says for one machine: its name, and its labels `option.NAME`."""
    labels = machine.labels
    said = tuple((k, v) for k, v in labels.items() if k.startswith(PREFIX))
    origin = f"machine {machine.name}"
    return _machine_layer(machine.name, origin, said)


@lru_cache(maxsize=4096)
def _machine_layer(name: str, origin: str, said: tuple[tuple[str, str], ...]) -> Layer:
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
    options: Mapping[int, bytes] = {}
    try:
        options = _assembled(values)
    except ValueError as error:
        mistakes.append(str(error))
    for mistake in mistakes:
        _log.warn("{origin}: left out {mistake}", origin=origin, mistake=mistake)
    return Layer(
        origin, {OptionCode.HOST_NAME: name.encode(), **options}, mistakes=tuple(mistakes)
    )


def _assembled(values: Mapping[Place, bytes]) -> dict[int, bytes]:
    return assembled(values, frozenset(dhcp4_replies.LONG))
