from __future__ import annotations

import re
import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from pxetwist.config.assemble import Assembly, assemble
from pxetwist.config.server import Server
from pxetwist.errors import ConfigErrors, StartError
from tests.unit.config.inis import QUIET, IniCase

INI = """
[pxe]
services = one, two
hosts =
state = memory
observers =
site-plugins = plugins
[service:one]
plugin = quiet
[service:two]
plugin = quiet
"""

FAULTY = """
    import attrs
    from twisted.plugin import IPlugin
    from zope.interface import implementer
    from pxetwist.config.fields import option, text
    from pxetwist.errors import ConfigError, Location
    from pxetwist.interfaces import IHostDirectory, IPluginFactory, IReservations

    @attrs.frozen
    class Settings:
        fault: str = option(text, doc="What is wrong.")

    @implementer(IHostDirectory)
    class Half:
        pass

    @implementer(IHostDirectory, IReservations)
    class Reserves:
        async def find_machine(self, identity):
            return None

    @implementer(IPlugin, IPluginFactory)
    class Factory:
        kind, name, summary = "hosts", "faulty", "Faulty."
        def settings(self):
            return Settings
        def build(self, settings, site):
            if settings.fault == "none":
                return None
            if settings.fault == "async":
                return self.later()
            if settings.fault == "reserves":
                return Reserves()
            if settings.fault == "half":
                return Half()
            if settings.fault == "other":
                return object()
            if settings.fault == "file":
                raise ConfigError(Location("hosts.csv", 4), "twice the same name")
            return {}[settings.fault]
        async def later(self):
            return None

    faulty = Factory()
"""


class Reactor(MemoryReactorClock):
    """Calls at once what a signal handler asks for."""

    def callFromThread(self, callable: Callable[[], object]) -> None:
        callable()


class Assembling(IniCase):
    def setUp(self) -> None:
        super().setUp()
        self.write("plugins/quiet_for_assembly.py", QUIET)
        self.reactor = Reactor()

    def assemble(self, content: str) -> Assembly:
        return assemble(self.load(content), self.reactor)

    def journal(self) -> list[str]:
        from twisted.plugins import quiet_for_assembly  # type: ignore[attr-defined]  # made above

        found: list[str] = quiet_for_assembly.JOURNAL
        return found

    def test_sites(self) -> None:
        assembly = self.assemble(INI + "[subnet:lab]\nnetwork = 10.0.0.0/24\n")
        (first, one), (second, _) = assembly.of_kind("service")
        self.assertEqual((first, second), ("one", "two"))
        self.assertEqual(one.site.name, "one")
        self.assertEqual(one.site.log.namespace, "service:one")
        self.assertEqual(one.site.folder, self.folder)
        self.assertEqual(one.site.state_folder, self.folder / "var")
        self.assertEqual(list(one.site.networks), ["lab"])
        self.assertIs(one.site.boot, assembly.boot)
        self.assertIs(one.site.reactor, self.reactor)
        self.assertIs(assembly.boot.leases.store, assembly.of_kind("state")[0][1])
        self.assertFalse((self.folder / "var").exists())

    def test_started_in_order_and_stopped_in_reverse(self) -> None:
        former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGHUP, former)
        root = self.assemble(INI).root
        root.privilegedStartService()
        root.startService()
        self.assertEqual(signal.getsignal(signal.SIGHUP), root._signalled)
        signal.raise_signal(signal.SIGHUP)
        self.successResultOf(root.stopService())
        self.assertEqual(
            self.journal(),
            [
                "bind one",
                "bind two",
                "start one",
                "start two",
                "reload one",
                "reload two",
                "stop two",
                "stop one",
            ],
        )
        self.assertEqual(signal.getsignal(signal.SIGHUP), signal.SIG_IGN)

    def test_a_start_that_fails_names_its_section(self) -> None:
        root = self.assemble(INI + "fails = port 69 is in use\n").root
        error = self.assertRaises(StartError, root.privilegedStartService)
        self.assertEqual(str(error), f"{self.folder}/pxe.ini:9: [service:two] port 69 is in use")

    def test_a_start_with_a_bug_names_its_section(self) -> None:
        """So does one that nobody awaits."""

        def stumble() -> None:
            raise KeyError("x")

        async def later() -> None:
            raise AssertionError("never run")

        for method, way, message in (
            ("privilegedStartService", stumble, "KeyError: 'x' (test_assemble.py:"),
            ("startService", later, "startService must not be async: nobody awaits it"),
            ("listening", lambda: None, "TypeError: 'NoneType' object is not iterable"),
        ):
            root = self.assemble(INI).root
            setattr(self.second_of(root), method, way)
            with self.assertRaises(StartError) as caught:
                root.privilegedStartService()
                root.startService()
            place = f"{self.folder}/pxe.ini:9: [service:two] "
            self.assertIn(place + message, str(caught.exception))

    def second_of(self, root: Server) -> Any:
        return [each for each in root if hasattr(each, "settings")][1]

    def test_what_does_not_stop_keeps_nobody_from_it(self) -> None:
        root = self.assemble(INI).root
        self.second_of(root).stopService = Deferred
        stopped: list[object] = []
        root.stopService().addCallback(stopped.append)
        self.assertEqual(stopped, [])
        self.reactor.advance(20)
        self.assertEqual((stopped, self.journal()[-1]), ([None], "stop one"))

    def test_mistakes_of_all_plugins(self) -> None:
        self.write("plugins/faulty_for_assembly.py", FAULTY)
        faults = ("half", "other", "file", "key")
        content = INI.replace("hosts =", f"hosts = {', '.join(faults)}")
        for fault in faults:
            content += f"[hosts:{fault}]\nplugin = faulty\nfault = {fault}\n"
        errors = self.assertRaises(ConfigErrors, self.assemble, content).errors
        lines = [str(error).replace(f"{self.folder}/", "") for error in errors]
        self.assertEqual(len(lines), 4)
        self.assertTrue(lines[0].startswith("pxe.ini:11: [hosts:half] plugin 'faulty': The obj"))
        self.assertTrue(lines[1].startswith("pxe.ini:14: [hosts:other] plugin 'faulty': The obj"))
        self.assertEqual(lines[2], "hosts.csv:4: [hosts:file] twice the same name")
        self.assertEqual(
            lines[3], "pxe.ini:20: [hosts:key] KeyError: 'key' (faulty_for_assembly.py:39)"
        )

    def test_what_is_built_is_what_it_says_it_is(self) -> None:
        self.write("plugins/faulty_for_assembly.py", FAULTY)
        faults = ("none", "async", "reserves")
        content = INI.replace("hosts =", f"hosts = {', '.join(faults)}")
        for fault in faults:
            content += f"[hosts:{fault}]\nplugin = faulty\nfault = {fault}\n"
        errors = self.assertRaises(ConfigErrors, self.assemble, content).errors
        nothing, coroutine, reserves = (each.message for each in errors)
        self.assertEqual(nothing, "[hosts:none] plugin 'faulty': build returns nothing")
        self.assertIn("build returns a coroutine: it must not be async", coroutine)
        self.assertIn("reserved_addresses() attribute was not provided", reserves)

    def test_a_mistake_in_another_file(self) -> None:
        """It says where the INI names that file, unless the mistake has a line of its own."""
        content = INI + "[service:https]\ncertificate = boot.pem\n[content:files]\n"
        content += "plugin = rendered\ntemplates = none\n"
        content = content.replace("services =", "content = files\nservices = https,", 1)
        errors = self.assertRaises(ConfigErrors, self.assemble, content).errors
        lines = [str(error).replace(f"{self.folder}/", "") for error in errors]
        self.assertEqual(
            sorted(re.sub(r"ini:\d+", "ini:N", line) for line in lines),
            [
                "pxe.ini:N: [content:files] templates: no such folder: none",
                "pxe.ini:N: [service:https] certificate: boot.pem: cannot be read: No such file or"
                " directory; `pxetwist pki issue` makes certificates",
            ],
        )

    def test_http_port(self) -> None:
        self.assertEqual(self.assemble(INI).boot.http_port, 80)
        assembly = self.assemble(
            INI.replace("one, two", "one, http, two") + "[service:http]\nport = 8080\n"
        )
        self.assertEqual(assembly.boot.http_port, 8080)
        self.assertEqual(assembly.of_kind("service")[0][1].site.http_port, 8080)
