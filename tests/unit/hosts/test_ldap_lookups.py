"""Look-ups of many machines at the same time: who goes with whom, and what each one gets."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, cast

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import DirectoryUnavailable
from pxetwist.hosts.ldap import lookups as lookups_module
from pxetwist.hosts.ldap.conversations import Conversation
from pxetwist.hosts.ldap.faults import ServerFault
from pxetwist.hosts.ldap.lookups import Lookups
from pxetwist.hosts.ldap.pool import SessionPool
from pxetwist.hosts.ldap.request import Search
from pxetwist.hosts.ldap.schema import Entry
from pxetwist.hosts.ldap.session import Session
from pxetwist.hosts.ldap.settings import Uri
from pxetwist.model.machine import Machine

ONE, TWO = Uri("ldaps", "one", 636), Uri("ldaps", "two", 636)


@attrs.define(eq=False)
class Servers:
    """All servers: what they were asked in one go, how slow they are, what breaks them."""

    clock: Clock
    slowness: float = 0.0
    together: bool = False  # whether it answers all at the same time
    rounds: list[list[str]] = attrs.field(factory=list)
    refused: set[str] = attrs.field(factory=set)
    busy: set[str] = attrs.field(factory=set)
    poison: set[str] = attrs.field(factory=set)
    silent: bool = False
    backwards: bool = False

    def connect(self, uri: Uri, begun: object) -> FakeSession:
        return FakeSession(self, uri)


@attrs.define(eq=False)
class FakeSession:
    servers: Servers
    uri: Uri
    open: list[Search] = attrs.field(factory=list)
    due: dict[Search, float] = attrs.field(factory=dict)
    free: float = 0.0

    def send(self, searches: Iterable[Search]) -> None:
        now, slowness = self.servers.clock.seconds(), self.servers.slowness
        for search in searches:
            self.open.append(search)
            self.free = now if self.servers.together else max(now, self.free)
            self.free += slowness
            self.due[search] = self.free
        self.servers.rounds.append([str(search.filter) for search in self.open])

    def receive(self) -> Sequence[tuple[Search, list[Entry] | DirectoryUnavailable]]:
        servers = self.servers
        if any(search.filter in servers.poison for search in self.open):
            raise ServerFault("the connection broke", servers.silent)
        search = self.open.pop(-1 if servers.backwards else 0)
        servers.clock.advance(max(self.due[search] - servers.clock.seconds(), 0))
        if search.filter in servers.refused:
            return [(search, DirectoryUnavailable("refused"))]
        if search.filter in servers.busy:
            return [(search, ServerFault(f"{self.uri.host} is busy"))]
        return [(search, [Entry(f"cn={search.filter}")])]

    def close(self) -> None:
        pass


class LookupTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.servers = Servers(self.clock)
        self.threads: deque[Callable[[], object]] = deque()
        self.outcomes: dict[str, Any] = {}
        cast(Any, self.clock).callFromThread = lambda call, *args: call(*args)

    def lookups(self, *servers: Uri, connections: int = 1, most: int = 50) -> Lookups:
        sessions = SessionPool(
            servers or (ONE,),
            cast(Any, self.servers.connect),
            size=connections,
            back_off=30.0,
            clock=self.clock.seconds,
            log=Logger("ldap", observer=cast(Any, lambda event: None)),
        )
        return Lookups(
            reactor=self.clock,
            sessions=sessions,
            in_thread=self.threads.append,
            connections=connections,
            most=most,
            timeout=1.0,
        )

    def find(self, lookups: Lookups, name: str, more: int = 0) -> Deferred[Machine | None]:
        """Look for a machine, with more questions about it."""

        def talk(session: Session) -> Conversation[Machine | None]:
            [found] = yield Search("", name, ())
            for number in range(more):
                yield Search("", f"{name}-{number}", ())
                yield Search("", f"group-{number}", ())
            return Machine(found.dn.removeprefix("cn="), provenance=session.uri.host)

        asked = Deferred.fromCoroutine(lookups.find(talk))
        return asked.addBoth(partial(self.outcomes.__setitem__, name))

    def run_threads(self) -> None:
        while self.threads:
            self.threads.popleft()()

    def grown(self, **options: Any) -> Lookups:
        """Return look-ups that know already how quick the server is."""
        lookups = self.lookups(**options)
        self.find(lookups, "first")
        self.run_threads()
        self.servers.rounds.clear()
        return lookups

    def said(self, name: str) -> str:
        outcome = self.outcomes[name]
        assert isinstance(outcome, Failure), outcome
        return outcome.getErrorMessage()

    def assert_found(self, *names: str) -> None:
        for name in names:
            self.assertEqual(getattr(self.outcomes[name], "name", None), name, self.outcomes)

    def test_one_leaves_at_once(self) -> None:
        lookups = self.lookups()
        self.find(lookups, "a")
        self.assertEqual(len(self.threads), 1)
        self.run_threads()
        self.assert_found("a")

    def test_those_that_wait_go_together(self) -> None:
        lookups = self.grown(most=3)
        for name in "abcde":
            self.find(lookups, name)
        self.assertEqual(len(self.threads), 1)
        self.run_threads()
        self.assertEqual(self.servers.rounds, [["a", "b", "c"], ["c", "d", "e"]])
        self.assert_found(*"abcde")

    def test_one_after_the_other(self) -> None:
        lookups = self.grown(most=1)
        for name in "abc":
            self.find(lookups, name)
        self.run_threads()
        self.assertEqual(self.servers.rounds, [["a"], ["b"], ["c"]])
        self.assert_found(*"abc")

    def test_a_quick_server_is_asked_on_one_connection(self) -> None:
        lookups = self.grown(connections=2)
        for names in ("abcd", "efghij"):  # it shows with the first ones
            self.threads.clear()
            for name in names:
                self.find(lookups, name)
            self.run_threads()
        self.assertIn(list("efghij"), self.servers.rounds)
        self.assert_found(*"abcdefghij")

    def test_connections_share(self) -> None:
        self.patch(lookups_module, "_QUICK", 0.0)
        lookups = self.grown(connections=2)
        for name in "abcdef":
            self.find(lookups, name)
        self.assertEqual(len(self.threads), 2)
        self.run_threads()
        self.assertEqual(self.servers.rounds[0], ["a", "b", "c"])
        self.assert_found(*"abcdef")

    def test_a_slow_server_is_not_flooded(self) -> None:
        """One that answers one after the other gets few, one that is far away gets many."""
        for together, most in ((False, 2), (True, 50)):
            self.setUp()
            self.servers.slowness, self.servers.together = 0.2, together
            lookups = self.lookups()
            for number in range(200):
                self.find(lookups, str(number))
            self.run_threads()
            sizes = [len(each) for each in self.servers.rounds]
            self.assertEqual(sizes[0], 1)
            self.assertEqual(max(sizes[:-1]), most if together else 2)
            self.assertEqual(lookups.room, 2 * max(sizes[:-1]))
            self.assert_found("0", "199")

    def test_the_same_is_asked_once(self) -> None:
        lookups = self.grown()
        for name in "abc":
            self.find(lookups, name, more=2)
        self.run_threads()
        asked = Counter(name for name in self.asked() if name.startswith("group"))
        self.assertEqual(asked, {"group-0": 1, "group-1": 1})
        self.assert_found(*"abc")

    def asked(self) -> list[str]:
        """Return all that was sent, in the order in which it was."""
        found: list[str] = []
        last: list[str] = []
        for open_ in self.servers.rounds:
            found += [name for name in open_ if name not in last]
            last = open_
        return found

    def test_a_refusal_is_for_one(self) -> None:
        lookups = self.grown()
        self.servers.refused = {"b"}
        for name in "abc":
            self.find(lookups, name)
        self.run_threads()
        self.assertEqual(self.said("b"), "refused")
        self.assert_found("a", "c")

    def test_a_bug_is_for_one(self) -> None:
        lookups = self.grown()

        def broken(session: Session) -> Conversation[Machine | None]:
            yield Search("", "x", ())
            return cast(Machine, 1 // 0)

        asked = Deferred.fromCoroutine(lookups.find(broken))
        self.find(lookups, "a")
        self.run_threads()
        self.failureResultOf(asked, ZeroDivisionError)
        self.assert_found("a")

    def test_the_next_server_gets_what_is_left(self) -> None:
        self.servers.busy = {"b"}
        lookups = self.lookups(ONE, TWO)
        self.find(lookups, "first")
        for name in "abc":
            self.find(lookups, name)
        self.run_threads()
        self.assertEqual(self.said("b"), "one is busy; two is busy")
        self.assert_found("a", "c")

    def test_what_breaks_connections_is_found(self) -> None:
        """The others have their answers all the same, by halves."""
        lookups = self.grown()
        self.servers.poison = {"e"}
        for name in "abcdefgh":
            self.find(lookups, name)
        self.run_threads()
        self.assertEqual(self.said("e"), "the connection broke")
        self.assert_found(*"abcdfgh")
        self.assertLess(len(self.servers.rounds), 20)
        self.assertEqual(lookups.room, 2)  # careful from now on

    def test_silence_is_waited_for_once(self) -> None:
        lookups = self.grown()
        self.servers.poison, self.servers.silent = {"b"}, True
        for name in "abc":
            self.find(lookups, name)
        self.run_threads()
        self.assertEqual(self.said("c"), "the connection broke")
        self.assertEqual(len(self.servers.rounds), 1)

    def test_nobody_waits_any_more(self) -> None:
        lookups = self.grown()
        asked = self.find(lookups, "a")
        self.find(lookups, "b")
        asked.cancel()
        self.run_threads()
        self.assertEqual(self.servers.rounds, [["b"]])

    @given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 3), st.data())
    def test_each_gets_its_own(self, more: list[int], connections: int, data: Any) -> None:
        """In whatever order answers come, whatever is refused or breaks."""
        self.setUp()
        names = [f"m{number}" for number in range(len(more))]
        some = st.sets(st.sampled_from(names), max_size=3)
        servers = self.servers
        servers.backwards = data.draw(st.booleans())
        servers.refused, servers.busy, servers.poison = (data.draw(some) for _ in range(3))
        lookups = self.lookups(ONE, TWO, connections=connections)
        for name, count in zip(names, more, strict=True):
            self.find(lookups, name, count)
        self.run_threads()
        self.assertEqual(set(self.outcomes), set(names))
        wrong = servers.refused | servers.busy | servers.poison
        for name in names:
            if name in wrong:
                self.assertIsInstance(self.outcomes[name], Failure)
            else:
                self.assertEqual(self.outcomes[name].name, name)
