"""Machines in a real OpenLDAP: how it is reached, what is found, what happens when it fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, cast

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from benchmarks import ldap
from benchmarks.report import ratios
from bootlab import slapd
from bootlab.certificates import Authority
from bootlab.processes import halt
from bootlab.slapd import ACCOUNT, BASE, PASSWORD, Slapd
from pxetwist.config.fields import OptionText
from pxetwist.errors import DirectoryUnavailable
from pxetwist.hosts import answers
from pxetwist.hosts.ldap.filters import equal
from pxetwist.hosts.ldap.plugin import LdapDirectory
from pxetwist.hosts.ldap.plugin import Settings as LdapSettings
from pxetwist.hosts.ldap.request import Search
from pxetwist.hosts.ldap.session import Session
from pxetwist.hosts.ldap.settings import attribute_map, templates, uri
from pxetwist.interfaces import IHostDirectory
from pxetwist.model.boot import Login
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.testing import make_site
from pxetwist.testing.contracts import HostDirectoryContract, ThreadClock

PXETWIST = Path(sys.executable).with_name("pxetwist")
MANY = 10_000
WS12 = ClientIdentity(mac="52:54:00:00:00:12")

RECORDS = (
    *map(slapd.unit, ("ou=Rooms", "ou=B12,ou=Rooms", "ou=Groups", "ou=People", "ou=Many")),
    slapd.device(
        "cn=ws12,ou=B12,ou=Rooms",
        *("macAddress: 52-54-00-00-00-12", "ipHostNumber: 10.0.0.12", "serialNumber: ABC*12"),
        *("bootFile: ws.efi", "bootParameter: root=nas:/ws12", "bootParameter: swap=nas:/swap"),
    ),
    slapd.device("cn=ws13,ou=B12,ou=Rooms", "macAddress: 52:54:00:00:00:AB"),
    slapd.device("cn=twin1,ou=Rooms", "macAddress: 52:54:00:00:00:77"),
    slapd.device("cn=twin2,ou=Rooms", "macAddress: 52:54:00:00:00:77"),
    slapd.person("uid=ada,ou=People", "Passw0rd.ada"),
    slapd.group("cn=B12-PCs,ou=Groups", "cn=ws12,ou=B12,ou=Rooms"),
    slapd.group("cn=Exam-PCs,ou=Groups", "cn=B12-PCs,ou=Groups", "cn=Campus,ou=Groups"),
    slapd.group("cn=Campus,ou=Groups", "cn=Exam-PCs,ou=Groups"),
    slapd.group("cn=Staff,ou=Groups", "uid=ada,ou=People"),
    slapd.referral("cn=elsewhere,ou=Rooms", f"ldap://127.0.0.1:1/{BASE}"),
)


def many() -> list[str]:
    return [
        slapd.device(
            f"cn=pc{n:05},ou=Many", f"macAddress: {mac(n)}", f"ipHostNumber: {address(n)}"
        )
        for n in range(MANY)
    ]


def mac(number: int) -> str:
    return f"52:54:01:00:{number >> 8:02x}:{number & 255:02x}"


def address(number: int) -> str:
    return str(IPv4Address("10.8.0.0") + number)


class LdapTestCase(SynchronousTestCase):
    """Two servers with the same machines; each test makes directories that ask them."""

    folder: ClassVar[Path]
    authority: ClassVar[Authority]
    first: ClassVar[Slapd]
    second: ClassVar[Slapd]

    @classmethod
    def setUpClass(cls) -> None:
        temporary = TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        cls.authority = Authority(cls.folder / "ca.pem")
        cls.first, cls.second = (cls.server(name) for name in ("first", "second"))

    @classmethod
    def server(cls, name: str, host: str = slapd.HOST) -> Slapd:
        server = Slapd(cls.folder / name, cls.authority, host)
        server.load(RECORDS)
        server.start()
        cls.addClassCleanup(server.stop)
        return server

    def setUp(self) -> None:
        self.clock = ThreadClock()
        self.logged: list[LogEvent] = []

    def settings(self, *uris: str, **options: Any) -> LdapSettings:
        given: dict[str, Any] = {
            "uri": tuple(map(uri, uris or (self.first.uri,))),
            "ca_file": self.authority.file,
            "bind_dn": ACCOUNT,
            "bind_password_file": PASSWORD,
        }
        return LdapSettings(**{**given, **options})

    def directory(self, *uris: str, **options: Any) -> LdapDirectory:
        """Start a directory."""
        log = Logger("ldap", observer=cast(ILogObserver, self.logged.append))
        site = attrs.evolve(make_site(reactor=self.clock, name="ldap"), log=log)
        directory = LdapDirectory(self.settings(*uris, **options), site)
        directory.startService()
        self.addCleanup(self.stop, directory)
        return directory

    def stop(self, directory: LdapDirectory) -> None:
        stopped: list[object] = []
        waiting = directory.stopService()
        if waiting is not None:
            waiting.addBoth(stopped.append)
            self.clock.run_until(lambda: bool(stopped))

    def done(self, work: Any) -> Any:
        """Return, or raise, what comes of a coroutine."""
        outcome: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(outcome.append)
        self.clock.run_until(lambda: bool(outcome))
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return outcome[0]

    def find(self, directory: LdapDirectory, identity: ClientIdentity = WS12) -> Machine | None:
        return cast(Machine | None, self.done(directory.find_machine(identity)))

    def found(self, directory: LdapDirectory, identity: ClientIdentity = WS12) -> Machine:
        machine = self.find(directory, identity)
        assert machine is not None
        return machine

    def failure(self, directory: LdapDirectory) -> str:
        """Return the sentence of a failure, which never has the password in it."""
        with self.assertRaises(DirectoryUnavailable) as caught:
            self.find(directory)
        self.assertNotIn(PASSWORD, str(caught.exception))
        return str(caught.exception)

    def messages(self) -> str:
        return "\n".join(formatEvent(event) for event in self.logged)


class ReachTests(LdapTestCase):
    """Encryption, certificates and how to log in."""

    def test_ldaps(self) -> None:
        machine = self.found(self.directory())
        self.assertRegex(machine.provenance, rf"^{self.first.uri} in \d+ ms$")
        self.assertEqual(self.logged, [])

    def test_start_tls(self) -> None:
        directory = self.directory(self.first.plain_uri, start_tls=True)
        self.assertEqual(self.found(directory).name, "ws12")

    def test_plain_if_the_site_wants_it(self) -> None:
        directory = self.directory(self.first.plain_uri, plain_password=True)
        self.assertEqual(self.found(directory).name, "ws12")

    def test_another_authority(self) -> None:
        other = Authority(self.folder / "other.pem")
        for where, start_tls in ((self.first.uri, False), (self.first.plain_uri, True)):
            directory = self.directory(where, ca_file=other.file, start_tls=start_tls)
            said = self.failure(directory)
            self.assertIn(f"the certificate of {where} is not to be trusted: ", said)

    def test_the_certificate_of_another_host(self) -> None:
        elsewhere = self.server("elsewhere", "dc9.lab.example")
        for where, start_tls in ((elsewhere.uri, False), (elsewhere.plain_uri, True)):
            said = self.failure(self.directory(where, start_tls=start_tls))
            self.assertIn("is not to be trusted: Hostname mismatch", said)
        directory = self.directory(elsewhere.uri, verify=False)
        self.assertEqual(self.found(directory).name, "ws12")
        self.assertIn("verify = no", self.messages())

    def test_a_wrong_password_is_not_tried_again(self) -> None:
        """Nor at the next server: it would lock the account."""
        wrong = {"bind_password_file": "Wr0ng", "ca_file": self.authority.file}
        directory = self.directory(self.first.uri, self.second.uri, **wrong)
        refusal = f"{self.first.uri} refuses {ACCOUNT}: name or password is wrong"
        self.assertEqual(self.failure(directory), refusal)
        self.stop_server(self.first)
        self.assertEqual(self.failure(directory), refusal)
        self.clock.advance(31)
        self.assertIn(f"{self.second.uri} refuses", self.failure(directory))

    def stop_server(self, server: Slapd) -> None:
        server.stop()
        self.addCleanup(server.start)

    def test_client_certificate(self) -> None:
        key, certificate = self.authority.issue(self.folder, "pxe-client", "192.0.2.7")
        login = {"bind": "external", "certificate": certificate, "key": key}
        directory = self.directory(bind_dn="", bind_password_file="", **login)
        self.assertEqual(self.found(directory).name, "ws12")

    def test_anonymous_sees_nothing(self) -> None:
        directory = self.directory(bind="anonymous", bind_dn="", bind_password_file="")
        self.assertIn("refuses the search", self.failure(directory))

    def test_nobody_there(self) -> None:
        gone = self.server("gone")
        gone.stop()
        self.assertEqual(
            self.failure(self.directory(gone.uri)), f"{gone.uri} is not there: connection refused"
        )
        said = self.failure(self.directory("ldaps://nowhere.invalid"))
        self.assertIn("no address for nowhere.invalid", said)

    def test_a_base_that_is_not_there(self) -> None:
        said = self.failure(self.directory(base="dc=none"))
        self.assertIn(f"{self.first.uri} refuses the search below dc=none: noSuchObject", said)

    def test_persons(self) -> None:
        directory = self.directory()
        for name, password, groups in (
            ("ada", "Passw0rd.ada", ("Staff",)),
            ("ada", "wrong", None),
            ("ada", "", None),
            ("", "Passw0rd.ada", None),
            ("a*", "Passw0rd.ada", None),
            ("nobody", "Passw0rd.ada", None),
        ):
            answer = self.done(directory.authenticate(Login(name, password)))
            self.assertEqual(answer, groups, (name, password))
        self.assertEqual(self.found(directory).name, "ws12")  # still as itself

    def test_passwords_of_persons_need_tls(self) -> None:
        directory = self.directory(
            self.first.plain_uri, bind="anonymous", bind_dn="", bind_password_file="", base=BASE
        )
        with self.assertRaises(DirectoryUnavailable) as caught:
            self.done(directory.authenticate(Login("ada", "Passw0rd.ada")))
        self.assertNotIn("Passw0rd", str(caught.exception))


class FindTests(LdapTestCase):
    """What is found, and what is told of it."""

    def test_machine(self) -> None:
        machine = self.found(self.directory(base=BASE))
        expected = Machine(
            name="ws12",
            macs=("52:54:00:00:00:12",),
            address=IPv4Address("10.0.0.12"),
            labels={
                "dn": f"cn=ws12,ou=B12,ou=Rooms,{BASE}",
                "ou": "B12",
                "ou-path": "Rooms/B12",
                "boot-file": "ws.efi",
                "boot-parameter": "root=nas:/ws12 swap=nas:/swap",
            },
            directory="ldap",
            groups=("B12-PCs", "Campus", "Exam-PCs"),
            serial="ABC*12",
        )
        self.assertEqual(machine, expected)

    def test_groups(self) -> None:
        self.assertEqual(self.found(self.directory(groups="direct")).groups, ("B12-PCs",))
        self.assertEqual(self.found(self.directory(groups="none")).groups, ())
        none = self.directory(group_base=f"ou=Rooms,{BASE}")
        self.assertEqual(self.found(none).groups, ())

    def test_marks(self) -> None:
        directory = self.directory()
        for identity, name in (
            (ClientIdentity(mac="52:54:00:00:00:ab"), "ws13"),
            (ClientIdentity(serial="ABC*12"), "ws12"),
            (ClientIdentity(serial="ABC"), None),
            (ClientIdentity(mac="52:54:00:00:00:ab", serial="ABC*12"), "ws13"),
            (ClientIdentity(hostname="ws12"), None),  # not among the marks of rfc2307
            (ClientIdentity(mac="52:54:00:99:99:99"), None),
        ):
            machine = self.find(directory, identity)
            self.assertEqual(machine and machine.name, name, identity)

    def test_filters_of_the_site(self) -> None:
        directory = self.directory(
            schema="free",
            filter=templates(OptionText.of("(cn={hostname})\n(macAddress={mac-dashes})")),
            attributes=attribute_map("mac = macAddress\nparameters = bootParameter"),
        )
        self.assertEqual(self.found(directory).macs, ("52:54:00:00:00:12",))
        self.assertIn("parameters", self.found(directory).labels)
        self.assertEqual(self.found(directory, ClientIdentity(hostname="WS13")).name, "ws13")
        self.assertIsNone(self.find(directory, ClientIdentity(hostname="ws*")))

    def test_twins(self) -> None:
        machine = self.found(self.directory(), ClientIdentity(mac="52:54:00:00:00:77"))
        self.assertEqual(machine.name, "twin1")
        self.assertIn("2 entries match", self.messages())

    def test_explain(self) -> None:
        ini = self.folder / "pxe.ini"
        ini.write_text(
            "[pxe]\nservices = dhcp\nhosts = lab\npolicies = main\n"
            f"[hosts:lab]\nplugin = ldap\nuri = {self.first.uri}\nca-file = ca.pem\n"
            f"bind-dn = {ACCOUNT}\nbind-password-file = {self.first.password_file}\n"
            "[policy:main]\nplugin = fixed\nprofile = local\n[profile:local]\nkind = local\n"
            "[service:dhcp]\ninterfaces = lo\n[subnet:lab]\nnetwork = 10.0.0.0/24\n"
        )
        command = [str(PXETWIST), "explain", str(ini), "--mac", WS12.mac]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, rf"machine ws12 \({self.first.uri} in \d+ ms, fresh")
        self.assertIn("groups B12-PCs, Campus, Exam-PCs", done.stdout)
        # What the server of this INI was told before, if nobody answers now:
        kept = [(Machine("ws12", (WS12.mac,)), time.time() - 3 * 3600)]
        answers.save(self.folder / "var" / "answers-lab.json", kept)
        ini.write_text(ini.read_text().replace(str(self.first.uri), "ldaps://localhost:9"))
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        self.assertRegex(done.stdout, r"machine ws12 \(stale, 3 h old: directory away \(.*refused")


class ManyTests(LdapTestCase):
    """Ten thousand machines."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.first.stop()
        cls.first.load(many())
        cls.first.start()

    def test_each_is_found(self) -> None:
        directory = self.directory(groups="none")
        for number in range(0, MANY, 997):
            machine = self.found(directory, ClientIdentity(mac=mac(number)))
            self.assertEqual(machine.name, f"pc{number:05}")

    def test_all_addresses_are_listed(self) -> None:
        """Page by page: the server gives no more than 600 entries at once."""
        directory = self.directory()
        self.clock.run_until(lambda: bool(directory.reserved_addresses()))
        listed = set(directory.reserved_addresses())
        self.assertEqual(len(listed), MANY + 1)
        self.assertLessEqual({IPv4Address(address(0)), IPv4Address("10.0.0.12")}, listed)


class FailureTests(LdapTestCase):
    """Servers that end, hang and return."""

    def pid(self, server: Slapd) -> int:
        return int(Path(server.file.parent, "pid").read_text())

    def killed(self, server: Slapd, number: signal.Signals) -> None:
        os.kill(self.pid(server), number)

    def hang(self, server: Slapd) -> None:
        halt(self.pid(server))
        self.addCleanup(self.killed, server, signal.SIGCONT)

    def both(self, **options: Any) -> LdapDirectory:
        directory = self.directory(self.first.uri, self.second.uri, **options)
        self.assertIn(self.first.uri, self.found(directory).provenance)
        return directory

    def test_killed_in_mid_search(self) -> None:
        directory = self.both(timeout=20.0)
        halt(self.pid(self.first))
        self.addCleanup(self.first.start)
        killer = threading.Timer(0.5, self.killed, (self.first, signal.SIGKILL))
        killer.start()
        began = time.monotonic()
        machine = self.found(directory)
        self.assertGreater(time.monotonic() - began, 0.4)  # it was in the middle of it
        self.assertIn(self.second.uri, machine.provenance)
        self.assertEqual(machine.groups, ("B12-PCs", "Campus", "Exam-PCs"))
        # it may still have taken the connection that was to replace the broken one
        gone = rf"{self.first.uri} (is not there|broke): .*; asked again in"
        self.assertRegex(self.messages(), gone)

    def test_hangs(self) -> None:
        directory = self.both(timeout=0.5)
        self.hang(self.first)
        self.assertIn(self.second.uri, self.found(directory).provenance)
        self.assertIn(f"no answer from {self.first.uri} within 0.5 s", self.messages())
        began = time.monotonic()
        self.assertIn(self.second.uri, self.found(directory).provenance)
        self.assertLess(time.monotonic() - began, 0.4)  # it is not asked while it rests

    def test_returns_after_its_rest(self) -> None:
        directory = self.both(back_off=10.0)
        self.first.stop()
        self.assertIn(self.second.uri, self.found(directory).provenance)
        self.first.start()
        self.assertIn(self.second.uri, self.found(directory).provenance)
        self.clock.advance(11)
        self.assertIn(self.first.uri, self.found(directory).provenance)
        self.assertIn(f"{self.first.uri} is back", self.messages())

    def test_restart(self) -> None:
        """A dropped connection is made again, without a word."""
        directory = self.directory()
        self.found(directory)
        self.clock.run_until(lambda: bool(directory.reserved_addresses()))  # nothing is asked now
        self.first.stop()
        self.first.start()
        self.assertEqual(self.found(directory).name, "ws12")
        self.assertEqual(self.logged, [])

    def test_all_gone_and_back(self) -> None:
        directory = self.both()
        for server in (self.first, self.second):
            server.stop()
        said = self.failure(directory)
        for server in (self.first, self.second):
            self.assertIn(f"{server.uri} is not there", said)
            server.start()
        self.assertEqual(self.found(directory).name, "ws12")  # at once: nobody else is there

    def test_stop_while_a_server_hangs(self) -> None:
        """In a search, and when it lets nobody in any more."""
        for searching in (True, False):
            directory = self.directory(timeout=20.0)
            if searching:
                self.found(directory)
            self.hang(self.first)
            outcome: list[Any] = []
            Deferred.fromCoroutine(directory.find_machine(WS12)).addBoth(outcome.append)
            time.sleep(0.2)  # until the thread waits
            began = time.monotonic()
            self.stop(directory)
            self.assertLess(time.monotonic() - began, 5)
            self.killed(self.first, signal.SIGCONT)


class BenchmarkTests(SynchronousTestCase):
    def test_both_find_every_machine(self) -> None:
        """What does not find one raises LabError."""
        size = ldap.Size(machines=200, lookups=100, repeats=1)
        with TemporaryDirectory() as folder:
            ours, theirs = ldap.measure(ldap.SERVERS, [2], Path(folder), size)
        self.assertEqual([ours.server, theirs.server], ["pxetwist", "ldapsearch"])
        for result in (ours, theirs):
            self.assertGreater(result.value, 0)
            self.assertGreater(result.cost, 0)
        self.assertIn("ldapsearch", ratios(ours, [ours, theirs]))


#: What a hostile machine says of itself: pieces of filters, NULs, broken UTF-8, anything.
HOSTILE = st.one_of(
    st.lists(
        st.sampled_from(
            (
                *("*", "(", ")", "\\", "\0", "=", "|", "&", "!", " ", "~", ">", ",", "#", ":="),
                *("ws12", "ABC", "cn", "é", "\\2a", "*)(objectClass=*"),
                *("\udcff", "\udcc3", "\ud800"),  # bytes that are no UTF-8, and worse
            )
        ),
        max_size=8,
    ).map("".join),
    st.text(max_size=20),
    st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
)


class InjectionTests(LdapTestCase):
    """Nothing that a machine says of itself changes the meaning of a filter."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        made = LdapSettings(
            uri=(uri(cls.first.uri),),
            ca_file=cls.authority.file,
            bind_dn=ACCOUNT,
            bind_password_file=PASSWORD,
            find_by=("mac", "uuid", "serial", "asset", "name"),
            attributes={"asset": "description"},
            filter=templates(OptionText.of("(&(objectClass=device)(cn={hostname}))")),
        )
        cls.schema = made.described()
        cls.session = Session.open(made.uri[0], made)
        cls.addClassCleanup(cls.session.close)

    schema: ClassVar[Any]
    session: ClassVar[Session]

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(HOSTILE, HOSTILE, HOSTILE)
    def test_only_equal_values_are_found(self, serial: str, asset: str, hostname: str) -> None:
        identity = ClientIdentity(serial=serial, asset=asset, hostname=hostname)
        said = {self.folded(each) for each in (serial, asset, hostname)}
        for filter_ in self.schema.filters(identity):
            for entry in self.session.search(Search(BASE, filter_, ("cn", "serialNumber"))):
                values = {self.folded(each) for each in entry.texts("cn")}
                values |= {self.folded(each) for each in entry.texts("serialNumber")}
                self.assertTrue(values & said, (filter_, entry.dn))

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=12))
    def test_bytes_are_never_syntax(self, raw: bytes) -> None:
        """A filter that holds for all machines still does, with any value beside it."""
        filter_ = f"(|(objectClass=ieee802Device){equal('description', raw)})"
        self.assertEqual(len(self.session.search(Search(BASE, filter_, ("cn",)))), 4)
        filter_ = f"(&(objectClass=ieee802Device){equal('description', raw)})"
        self.assertEqual(self.session.search(Search(BASE, filter_, ("cn",))), [])

    @settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(HOSTILE, st.integers(0, 5)), min_size=10, max_size=50))
    def test_together_each_gets_what_it_gets_alone(self, said: list[tuple[str, int]]) -> None:
        """Many at the same time on one connection, those that are known among the hostile."""
        known = (WS12.mac, "52:54:00:00:00:ab", "52:54:00:00:00:77", *[""] * 3)
        identities = [
            ClientIdentity(mac=known[number], serial=text, hostname=text) for text, number in said
        ]
        directory = self.directory(pool=1, find_by=("mac", "serial", "name"))
        alone = [self.find(directory, each) for each in identities]

        async def together() -> list[Machine | None]:
            finding = [Deferred.fromCoroutine(directory.find_machine(i)) for i in identities]
            return [await each for each in finding]

        self.assertEqual(self.done(together()), alone)
        self.stop(directory)

    @staticmethod
    def folded(text: str) -> str:
        """Case and white space do not count in these attributes (RFC 4518)."""
        return " ".join(text.casefold().split())

    def test_they_are_found_if_they_are_equal(self) -> None:
        """The property above is not kept by finding nothing at all."""
        filters = self.schema.filters(ClientIdentity(serial="ABC*12", hostname="ws13"))
        found = [self.session.search(Search(BASE, filter_, ("cn",))) for filter_ in filters]
        self.assertEqual([len(each) for each in found], [1, 1, 1])


@implementer(IHostDirectory)
@attrs.frozen
class WithoutPlaces:
    """A directory whose machines have no labels that tell where their entry is."""

    inner: LdapDirectory

    async def find_machine(self, identity: ClientIdentity) -> Machine | None:
        machine = await self.inner.find_machine(identity)
        if machine is None:
            return None
        labels = {k: v for k, v in machine.labels.items() if k not in ("dn", "ou", "ou-path")}
        return attrs.evolve(machine, labels=labels)


class ContractTests(HostDirectoryContract, LdapTestCase):
    def settle(self, done: Callable[[], bool]) -> None:
        self.clock.run_until(done)

    def make_directory(self, machines: Sequence[Machine]) -> IHostDirectory:
        name = f"ou={self.id().rpartition('.')[2]}-{time.monotonic_ns()}"
        records = [slapd.unit(name)]
        for machine in machines:
            lines = [f"macAddress: {each}" for each in machine.macs]
            lines += [f"serialNumber: {machine.uuid}"] if machine.uuid else []
            lines += [f"ipHostNumber: {machine.address}"] if machine.address else []
            names = {"room": "l", "profile": "description"}
            lines += [f"{names[label]}: {value}" for label, value in machine.labels.items()]
            records.append(slapd.device(f"cn={machine.name},{name}", *lines))
        self.first.add(*records)
        mapped = "mac = macAddress\nuuid = serialNumber\naddress = ipHostNumber"
        inner = self.directory(
            base=f"{name},{BASE}",
            schema="free",
            find_by=("mac", "uuid"),
            attributes=attribute_map(f"{mapped}\nroom = l\nprofile = description"),
        )
        return cast(IHostDirectory, WithoutPlaces(inner))
