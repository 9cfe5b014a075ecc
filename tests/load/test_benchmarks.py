"""The benchmarks run, measure something, and notice when bytes are wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import TestCase
from xml.etree import ElementTree

import attrs

from benchmarks import dhcp, leases, nfs, resolve, storm, tftp
from benchmarks.dhcp import Search, highest
from benchmarks.namespaces import SERVER, linked
from benchmarks.report import ratios
from benchmarks.running import running
from benchmarks.servers import DHCP, NFS, STORM, TFTP, Place

ROOT = Path(__file__).resolve().parent.parent.parent
#: Far more than a quick case takes, in seconds.
PATIENCE = 120


class Benchmarks(TestCase):
    def setUp(self) -> None:
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def results(self, *arguments: str) -> list[dict[str, Any]]:
        """Run benchmarks quickly; the results of pxetwist, then of dnsmasq."""
        lines = self.folder / "results"
        command = [sys.executable, "-m", "benchmarks", *arguments, "--quick", "--json", str(lines)]
        done = subprocess.run(
            [*command, "--servers", "pxetwist,dnsmasq"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return [json.loads(line) for line in lines.read_text().splitlines()]

    def test_dhcp(self) -> None:
        servers = [each for each in DHCP if each.name in ("pxetwist", "dnsmasq")]
        quick = Search(probe=1, confirm=1, repeats=1, probes=1, first=50)
        with linked() as link:
            ours, peer = dhcp.measure(link, servers, [100], self.folder, quick)
        self.assertGreater(ours.cost, 0)
        for each in (ours, peer):
            self.assertAlmostEqual(each.value, 50, delta=5, msg=each.note)
        self.assertAlmostEqual(ratios(ours, [ours, peer])["dnsmasq"], ours.value / peer.value)

    def test_leases_in_postgresql(self) -> None:
        """Each exchange is asked of one process only, and is a lease in the one database."""
        names = ("pxetwist-postgres-two", "kea-postgres")
        servers = [each for each in DHCP if each.name in names]
        quick = Search(probe=1, confirm=1, repeats=1, probes=1, first=50)
        with linked() as link:
            two, kea = dhcp.measure(link, servers, [100], self.folder, quick)
        for each in (two, kea):
            self.assertAlmostEqual(each.value, 50, delta=25, msg=each.note)

    def test_leases(self) -> None:
        size = leases.Size(leases=2000, asked=100, repeats=1)
        half, full = leases.measure(["50%", "100%"], self.folder, size)
        self.assertGreater(half.value, 0)
        self.assertRegex(full.note, r"first offer \d+ ms, .* B a lease")

    def test_tftp(self) -> None:
        results = self.results("tftp", "--cases", "1:1468:0,20:1468:16")
        lockstep, windows = results[:2], results[2:]
        for ours, peer in (lockstep, windows):
            self.assertGreater(ours["value"], 0)
            self.assertAlmostEqual(ours["ratios"]["dnsmasq"], ours["value"] / peer["value"])
        for each, window in zip(windows, (16, 1), strict=True):
            self.assertRegex(each["note"], rf"^got 1468, window {window}, load busy \d+%$")

    def test_content(self) -> None:
        """TFTP and HTTP in one run; each with those of the servers that it knows."""
        results = self.results("content")
        self.assertEqual({each["benchmark"] for each in results}, {"tftp", "http"})
        for each in results:
            self.assertGreater(each["value"], 0, each)
        by_http = [each["case"] for each in results if each["benchmark"] == "http"]
        self.assertEqual(by_http, ["large", "https", "small", "script"])

    def test_storm(self) -> None:
        """Machines go the whole way with both, and a picture shows when."""
        files = storm.Files(nbp=50_000, kernel=50_000, initrd=100_000, longest=60)
        picture = self.folder / "storm.svg"
        with linked() as link:
            cases = [storm.Case(20, 0), storm.Case(20, 16)]
            results = storm.measure(
                link, STORM, cases, self.folder, repeats=1, files=files, picture=picture
            )
        self.assertEqual(len(results), 4)
        for each in results:
            self.assertGreater(each.value, 0, each.note)
            self.assertRegex(each.note, r"up: first \d+\.\d+ s, median .* DHCP \d+, TFTP \d+")
        drawn = ElementTree.parse(picture).getroot()
        lines = drawn.iter("{http://www.w3.org/2000/svg}polyline")
        self.assertEqual(len(list(lines)), 4)

    def test_nfs(self) -> None:
        """Every case with both servers, and every byte is looked at."""
        load = nfs.Load(8_000_000, 8_000_000, piece=50_000, pieces=5, part=0.01, repeats=1)
        with linked() as link:
            results = nfs.measure(link, NFS, tuple(nfs.CASES), self.folder, load)
        self.assertEqual(len(results), 2 * len(nfs.CASES))
        for each in results:
            self.assertGreater(each.value, 0, each.case)

    def test_resolve(self) -> None:
        size = resolve.Size(machines=100, decisions=200, storm=20, repeats=1)
        results = {each.case: each for each in resolve.measure(resolve.CASES, self.folder, size)}
        self.assertEqual(set(results), {"static", "cached", "slow", "storm"})
        self.assertLess(results["slow"].value, 20 / resolve.SLOWNESS)
        self.assertLess(results["slow"].value, results["static"].value)
        self.assertIn("20 machines, lost 0", results["storm"].note)

    def test_other_bytes_are_a_failure(self) -> None:
        served, expected = self.folder / "served", self.folder / "expected"
        for folder, content in ((served, b"served"), (expected, b"wanted")):
            folder.mkdir()
            (folder / "large").write_bytes(content * 1000)
        load, case = self.folder / "load", tftp.Case(1, 512, 0)
        tftp.build(load)
        [dnsmasq] = (each for each in TFTP if each.name == "dnsmasq")
        place = Place(self.folder / "dnsmasq", SERVER, served)
        with linked() as link, running(link, dnsmasq, place, "sport", "=", ":69") as server:
            right = tftp.fetch(link, load, server, case)
            server.place = attrs.evolve(place, content=expected)
            wrong = tftp.fetch(link, load, server, case)
        self.assertEqual((right["ok"], right["why"]), (3, ""))
        self.assertEqual((wrong["ok"], wrong["why"]), (0, "data mismatch"))


class Highest(TestCase):
    def test_the_rate_is_found(self) -> None:
        for limit in (30, 999, 1000, 11_700):
            tried: list[int] = []

            def good(rate: int, limit: int = limit, tried: list[int] = tried) -> bool:
                tried.append(rate)
                return rate <= limit

            found = highest(good, Search())
            self.assertLessEqual(found, limit)
            self.assertGreater(found * 1.15, limit)
            self.assertLessEqual(len(tried), Search().probes)

    def test_none_is_good(self) -> None:
        self.assertEqual(highest(lambda _: False, Search()), 0)
