"""The log: one line for each event, and no flood of silences."""

from __future__ import annotations

from typing import cast

import attrs
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.model.event import BootEvent, EventKind
from pxetwist.observers import log
from pxetwist.testing import make_site

ANSWERED = BootEvent(
    100.0,
    EventKind.ANSWERED,
    "dhcp",
    "ws12",
    "3f2a",
    "firmware",
    "offered 10.0.0.17, boot file loaders/snponly.efi",
    {"address": "10.0.0.17", "xid": 7},
)
SILENT = BootEvent(
    100.0,
    EventKind.SILENT,
    "dhcp",
    "52:54:00:00:00:12",
    summary="no plan",
    details={"in_vain": True},
)


class LogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.logged: list[LogEvent] = []

    def observer(self, debug: bool = False) -> log.LogObserver:
        logger = Logger("log", observer=cast(ILogObserver, self.logged.append))
        return log.build(log.Settings(debug=debug), attrs.evolve(make_site(), log=logger))

    def lines(self) -> list[str]:
        lines = [f"{event['log_level'].name} {formatEvent(event)}" for event in self.logged]
        self.logged.clear()
        return lines

    def test_an_answer(self) -> None:
        self.observer().notice(ANSWERED)
        [event] = self.logged
        self.assertEqual(
            (event["boot_id"], event["stage"], event["kind"], event["details"]),
            ("3f2a", "firmware", "answered", ANSWERED.details),
        )
        self.assertEqual(
            self.lines(),
            ["info boot 3f2a ws12 dhcp: offered 10.0.0.17, boot file loaders/snponly.efi"],
        )

    def test_by_which_worker(self) -> None:
        self.observer().notice(attrs.evolve(ANSWERED, details={"worker": 2}))
        [line] = self.lines()
        self.assertTrue(line.endswith("boot file loaders/snponly.efi (worker 2)"), line)

    def test_levels(self) -> None:
        observer = self.observer()
        levels = {}
        for kind in EventKind:
            observer.notice(attrs.evolve(ANSWERED, kind=kind))
            levels[kind.value] = [line.split()[0] for line in self.lines()]
        self.assertEqual(levels.pop("silent"), [])
        self.assertEqual(set(map(tuple, levels.values())), {("info",)})

    def test_who_waits_in_vain(self) -> None:
        """Silence is news for a machine that wants to boot, else a detail."""
        at_ease = attrs.evolve(SILENT, details={})
        for event, debug, expected in (
            (SILENT, False, ["info"]),
            (at_ease, False, []),
            (at_ease, True, ["debug"]),
        ):
            self.observer(debug).notice(event)
            self.assertEqual([line.split()[0] for line in self.lines()], expected)

    def test_well_known_probes(self) -> None:
        """What a loader looks for and may well not find is no news."""
        probe = attrs.evolve(ANSWERED, kind=EventKind.FAILED, details={"debug": True})
        self.observer().notice(probe)
        self.assertEqual(self.lines(), [])

    def test_debug(self) -> None:
        observer = self.observer(debug=True)
        observer.notice(ANSWERED)
        [line] = self.lines()
        self.assertTrue(line.startswith("info boot 3f2a ws12 dhcp: offered"))
        self.assertTrue(line.endswith(" address='10.0.0.17' xid=7"))

    def test_repeated_silences(self) -> None:
        observer = self.observer()
        for second in range(59):
            observer.notice(attrs.evolve(SILENT, time=100.0 + second))
        self.assertEqual(self.lines(), ["info 52:54:00:00:00:12 dhcp: no plan"])
        observer.notice(attrs.evolve(SILENT, summary="not ours"))
        observer.notice(attrs.evolve(SILENT, machine="ws13"))
        self.assertEqual(len(self.lines()), 2)
        observer.notice(attrs.evolve(SILENT, time=160.0))
        self.assertEqual(self.lines(), ["info 52:54:00:00:00:12 dhcp: no plan (58 times more)"])
        observer.notice(attrs.evolve(SILENT, time=220.0))
        self.assertEqual(self.lines(), ["info 52:54:00:00:00:12 dhcp: no plan"])

    def missing(
        self, path: str, time: float, reason: str = "", machine: str = "ws12"
    ) -> BootEvent:
        summary = f"no such file: {path}" + reason
        details = {"debug": False, "missing": True, "reason": reason}
        return BootEvent(time, EventKind.FAILED, "tftp", machine, "", "", summary, details)

    def test_missing_files(self) -> None:
        """One line for each machine and moment; with another reason it is other news."""
        observer = self.observer()
        for number in range(20):
            observer.notice(self.missing(f"f{number}", 100.0 + number / 100))
        self.assertEqual(self.lines(), ["info ws12 tftp: no such file: f0"])
        observer.notice(self.missing("a", 100.9, "; it has no plan"))
        observer.notice(self.missing("a", 100.9, machine="ws13"))
        self.assertEqual(len(self.lines()), 2)
        observer.notice(self.missing("b", 101.5))
        self.assertEqual(
            self.lines(), ["info ws12 tftp: no such file: b (19 more were not found)"]
        )

    def test_all_missing_files(self) -> None:
        """Who looks closely sees each."""
        observer = self.observer(debug=True)
        for number in range(20):
            observer.notice(self.missing(f"f{number}", 100.0))
        self.assertEqual(len(self.lines()), 20)

    def test_a_clock_that_was_set_back(self) -> None:
        observer = self.observer()
        observer.notice(attrs.evolve(SILENT, time=1e9))
        observer.notice(SILENT)
        self.assertEqual(len(self.lines()), 2)

    def test_answers_are_never_held_back(self) -> None:
        observer = self.observer()
        for _ in range(3):
            observer.notice(ANSWERED)
        self.assertEqual(len(self.lines()), 3)

    def test_memory_is_bounded(self) -> None:
        """Strangers with random addresses cannot fill it; the oldest silence is forgotten."""
        self.patch(log, "REMEMBERED", 10)
        observer = self.observer()
        for number in range(11):
            observer.notice(attrs.evolve(SILENT, machine=str(number)))
        self.lines()
        observer.notice(attrs.evolve(SILENT, machine="10"))
        self.assertEqual(self.lines(), [])
        observer.notice(attrs.evolve(SILENT, machine="0"))
        self.assertEqual(len(self.lines()), 1)

    def test_the_silence_logged_longest_ago_is_forgotten_first(self) -> None:
        self.patch(log, "REMEMBERED", 2)
        observer = self.observer()
        for time, machine in ((0, "a"), (1, "b"), (100, "a"), (101, "c")):
            observer.notice(attrs.evolve(SILENT, time=float(time), machine=machine))
        self.lines()
        observer.notice(attrs.evolve(SILENT, time=102.0, machine="a"))
        self.assertEqual(self.lines(), [])

    def test_nobody_forges_a_line(self) -> None:
        forged = "ws12\n2026-01-01 boot x ws13 dhcp: fine {evil}\x1b[2J"
        self.observer().notice(attrs.evolve(ANSWERED, machine=forged, summary="Gerät\r"))
        [line] = self.lines()
        self.assertEqual(
            line,
            "info boot 3f2a ws12\\x0a2026-01-01 boot x ws13 dhcp: fine {evil}\\x1b[2J dhcp: "
            "Gerät\\x0d",
        )

    def test_a_flood_of_invented_machines(self) -> None:
        """Their lines are limited, and counted; those of machines with a name are not."""
        observer = self.observer()
        for n in range(2000):
            machine = f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}"
            observer.notice(attrs.evolve(ANSWERED, machine=machine))
            observer.notice(ANSWERED)
        lines = self.lines()
        self.assertEqual(len(lines), 2000 + log.STRANGERS)
        later = ANSWERED.time + 60
        observer.notice(attrs.evolve(ANSWERED, machine="02:00:00:00:00:01", time=later))
        first, second = self.lines()
        self.assertEqual(first, "warn 1500 lines about machines without a name were left out")
        self.assertIn("02:00:00:00:00:01", second)
