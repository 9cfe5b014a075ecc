"""How options of several places become one set, how long leases last, and what is left out."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import WireError
from pxetwist.exchange import dhcp4
from pxetwist.exchange.dhcp4_options import (
    INFINITE,
    lease_seconds,
    lease_times,
    network_layers,
    origin_of,
    renewal_times,
    told,
)
from pxetwist.exchange.dhcp4_replies import LONG, Told, address_reply, encode_reply
from pxetwist.model.lease import Layer, Lease, LeaseTimes, Network
from pxetwist.wire.dhcp4 import Dhcp4Message, decode
from pxetwist.wire.iana import Dhcp4Op, Dhcp4Type
from pxetwist.wire.options import OptionCode as O
from pxetwist.wire.options import decode_value

ROUTER = IPv4Address("10.0.0.1")
NETWORK = Network("lab", IPv4Network("10.0.0.0/24"), routers=(ROUTER,))
ROUTE = bytes.fromhex("100a010a000001")
DEFAULT = bytes.fromhex("000a000001")


class ToldTests(SynchronousTestCase):
    def test_the_stronger_layer_wins_and_is_named(self) -> None:
        layers = (Layer("weak", {12: b"a", 15: b"x"}), Layer("strong", {12: b"b"}))
        self.assertEqual(told(layers), {12: b"b", 15: b"x"})
        self.assertEqual(origin_of(12, b"b", layers), "strong")
        self.assertEqual(origin_of(15, b"x", layers), "weak")
        self.assertEqual(origin_of(12, b"something else", layers), "")
        self.assertEqual(origin_of(3, b"", layers), "")

    def test_the_default_route_is_among_the_others(self) -> None:
        """Who takes option 121 ignores option 3 (RFC 3442); 249 is Microsoft's number for it."""
        layers = network_layers(attrs.evolve(NETWORK, options={O.CLASSLESS_ROUTES: ROUTE}))
        options = told(layers)
        self.assertEqual(options[O.CLASSLESS_ROUTES], ROUTE + DEFAULT)
        self.assertEqual(options[O.MICROSOFT_ROUTES], ROUTE + DEFAULT)
        self.assertEqual(origin_of(O.CLASSLESS_ROUTES, ROUTE + DEFAULT, layers), "[subnet:lab]")

    def test_a_default_route_that_is_there_stays_alone(self) -> None:
        own = bytes.fromhex("000a000009")
        for routes, routers in ((own, ROUTER.packed), (ROUTE, b""), (b"\x99", ROUTER.packed)):
            layer = Layer("", {O.CLASSLESS_ROUTES: routes, O.ROUTERS: routers})
            self.assertEqual(told([layer])[O.CLASSLESS_ROUTES], routes)

    def test_routes_are_read_back(self) -> None:
        options = told([Layer("", {O.CLASSLESS_ROUTES: ROUTE, O.ROUTERS: ROUTER.packed})])
        routes = decode_value(O.CLASSLESS_ROUTES, options[O.CLASSLESS_ROUTES])
        self.assertIn((IPv4Network("0.0.0.0/0"), ROUTER), routes)


class TimeTests(SynchronousTestCase):
    @given(
        st.none() | st.integers(0, INFINITE),
        st.none() | st.integers(1, 10000),
        st.none() | st.integers(1, 10000),
    )
    def test_a_wish_stays_within_bounds(
        self, wish: int | None, shortest: int | None, longest: int | None
    ) -> None:
        times = LeaseTimes(None, shortest, longest)
        network = attrs.evolve(NETWORK, lease_time=5000, lease_times=times)
        seconds = lease_seconds(lease_times(network, []), booting=False, wish=wish)
        normal = max(min(5000, longest or 5000), shortest or 0)
        if wish is None:
            self.assertEqual(seconds, normal)
        else:
            self.assertGreaterEqual(seconds, shortest or normal)
            self.assertLessEqual(seconds, max(longest or normal, shortest or normal))

    @given(st.integers(1, INFINITE), st.binary(max_size=4), st.binary(max_size=4))
    def test_renewal_is_before_rebinding_before_the_end(
        self, seconds: int, first: bytes, second: bytes
    ) -> None:
        t1, t2 = renewal_times(seconds, {O.RENEWAL_TIME: first, O.REBINDING_TIME: second})
        self.assertTrue(0 <= t1 <= t2 <= seconds)

    def test_own_times(self) -> None:
        own: dict[int, bytes] = {O.RENEWAL_TIME: b"\0\0\0\x10", O.REBINDING_TIME: b"\0\0\0\x20"}
        self.assertEqual(renewal_times(100, own), (16, 32))
        self.assertEqual(renewal_times(20, own), (10, 17))
        self.assertEqual(renewal_times(INFINITE, own), (INFINITE, INFINITE))


def request(*, vendor: bytes = b"", size: int = 0, **options: bytes) -> Dhcp4Message:
    """Make a DISCOVER."""
    said: dict[int, bytes] = {O.MESSAGE_TYPE: bytes([Dhcp4Type.DISCOVER])}
    said |= {O[name.upper()]: raw for name, raw in options.items()}
    if vendor:
        said[O.VENDOR_CLASS] = vendor
    if size:
        said[O.MAX_MESSAGE_SIZE] = size.to_bytes(2, "big")
    chaddr = bytes.fromhex("525400123456").ljust(16, b"\0")
    return Dhcp4Message(Dhcp4Op.REQUEST, 1, 6, chaddr=chaddr, options=said)


def wire(asked: Dhcp4Message, options: dict[int, bytes]) -> bytes:
    """Answer with these options."""
    reply = address_reply(
        asked,
        dhcp4.identify(asked),
        Dhcp4Type.OFFER,
        lease=Lease(IPv4Address("10.0.0.9"), "x", 0.0),
        seconds=600,
        server=ROUTER,
        told=Told(told([*network_layers(NETWORK), Layer("", options)])),
        boot=None,
    )
    return encode_reply(asked, reply)


PXE = b"PXEClient:Arch:00007:UNDI:003000"


class EncodingTests(SynchronousTestCase):
    """RFC 3396, overload, and what is dropped when space runs out."""

    def test_systems_get_long_values_and_overloaded_fields(self) -> None:
        names = b"\7example\0" * 40
        sent = decode(wire(request(size=1500), {O.DOMAIN_SEARCH: names}))
        self.assertEqual(sent.options[O.DOMAIN_SEARCH], names)
        texts: dict[int, bytes] = {17: b"r" * 100, 15: b"d" * 100, 101: b"t" * 60}
        data = wire(request(), texts)
        self.assertLessEqual(len(data), 548)
        self.assertIn(b"\x34\1", data)
        self.assertEqual(decode(data).options[O.ROOT_PATH], b"r" * 100)

    def test_firmware_gets_neither(self) -> None:
        for vendor in (PXE, b"HTTPClient:Arch:00016:UNDI:003000", b"U-Boot.armv8"):
            asked = request(vendor=vendor)
            texts: dict[int, bytes] = {17: b"r" * 100, 15: b"d" * 100, 101: b"t" * 60}
            data = wire(asked, texts | {O.DOMAIN_SEARCH: b"\7example\0" * 40})
            sent = decode(data).options
            self.assertNotIn(b"\x34\1", data)
            self.assertNotIn(O.DOMAIN_SEARCH, sent)
            self.assertNotIn(O.TZ_NAME, sent)
            self.assertIn(O.ROUTERS, sent)

    def test_what_was_asked_for_last_goes_first(self) -> None:
        asked = request(vendor=PXE, parameter_request_list=bytes([17, 15, 101, 40]))
        texts = dict.fromkeys((40, 101, 15, 17), b"x" * 90)
        sent = decode(wire(asked, texts)).options
        self.assertEqual([code for code in sent if code in texts], [17, 15])

    def test_a_relay_agent_is_dropped_last(self) -> None:
        """An answer without option 82 is better than none (RFC 3046 §2.2)."""
        agent, name = b"\1\xfa" + b"a" * 250, b"i" * 200
        asked = request(vendor=PXE, relay_agent=agent, client_id=name)
        sent = decode(wire(asked, {})).options
        self.assertEqual(sent[O.RELAY_AGENT], agent)
        self.assertNotIn(O.CLIENT_ID, sent)
        asked = request(vendor=PXE, relay_agent=agent * 2)
        sent = decode(wire(asked, {})).options
        self.assertNotIn(O.RELAY_AGENT, sent)
        self.assertEqual(sent[O.SERVER_ID], ROUTER.packed)

    def test_none_takes_an_option_away(self) -> None:
        self.assertNotIn(O.ROUTERS, decode(wire(request(), {O.ROUTERS: b""})).options)

    def test_microsofts_routes_are_for_those_who_ask(self) -> None:
        routes: dict[int, bytes] = {O.CLASSLESS_ROUTES: ROUTE}
        self.assertNotIn(O.MICROSOFT_ROUTES, decode(wire(request(), routes)).options)
        asked = request(parameter_request_list=bytes([249]))
        self.assertEqual(decode(wire(asked, routes)).options[O.MICROSOFT_ROUTES], ROUTE + DEFAULT)

    @given(
        st.dictionaries(
            st.integers(60, 254).filter(lambda code: code not in (61, 67, 80, 82, 97, 118)),
            st.one_of(st.binary(min_size=1, max_size=60), st.binary(min_size=200, max_size=700)),
            max_size=12,
        ),
        st.sampled_from([b"", PXE]),
        st.integers(0, 65535),
    )
    def test_any_options(self, options: dict[int, bytes], vendor: bytes, size: int) -> None:
        """Whatever a site says: what is sent fits, is whole, and has what a client cannot miss."""
        asked = request(vendor=vendor, size=size)
        try:
            data = wire(asked, options)
        except WireError as error:
            self.assertRegex(str(error), "option|does not fit")
            return
        self.assertLessEqual(len(data), min(max(size, 576), 1500) - 28)
        sent = decode(data).options
        for kept in (O.MESSAGE_TYPE, O.SERVER_ID, O.LEASE_TIME, O.SUBNET_MASK, O.ROUTERS):
            self.assertIn(kept, sent)
        for code in options.keys() & sent.keys():
            if code not in (O.CLASSLESS_ROUTES, O.MICROSOFT_ROUTES, O.VENDOR_CLASS):
                self.assertEqual(sent[code], options[code])
            if len(sent[code]) > 255:
                self.assertTrue(code in LONG and not vendor)
