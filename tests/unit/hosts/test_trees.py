"""JSON and YAML: the same machines, and the line of every mistake."""

from __future__ import annotations

import json
import sys
from ipaddress import IPv4Address
from unittest.mock import patch
from uuid import UUID

from pxetwist.model.machine import Machine
from tests.unit.hosts.files import FilesCase

UUID1 = "4c4c4544-0051-3510-8052-b4c04f4d3232"
WS12 = Machine(
    "ws12",
    ("52:54:00:00:00:12", "52:54:00:00:01:12"),
    UUID(UUID1),
    IPv4Address("10.0.0.12"),
    {"room": "012", "console": "true", "profile": "debian12"},
    "rack",
    ("Exam PCs", "b12"),
    "SN 1",
    "A7",
    b"\1\2",
    b"eth0/7",
    b"sw1",
)


class JsonTests(FilesCase):
    def test_a_list_and_names(self) -> None:
        facts = {
            "mac": ["52:54:00:00:00:12", "52:54:00:00:01:12"],
            "uuid": UUID1,
            "address": "10.0.0.12",
            "groups": ["Exam PCs", "b12"],
            "serial": "SN 1",
            "asset": "A7",
            "client-id": "01:02",
            "circuit-id": "eth0/7",
            "remote-id": "sw1",
            "Room": "012",
            "console": True,
            "profile": "debian\u0031\u0032",
            "empty": None,
        }
        for tree in ([{"name": "ws12", **facts}], {"ws12": facts}):
            for indent in (None, 2):
                file = self.write("a.json", json.dumps(tree, indent=indent))
                self.assertEqual(self.machines(file), {"ws12": WS12})

    def test_twice_on_one_line(self) -> None:
        """Programs write all of it on a single line."""
        mac = {"mac": "525400000001"}
        for text, mistake in (
            ('{"a": {"mac": "1"}, "a": {"mac": "2"}}', "'a' given twice (first on line 1)"),
            (json.dumps({"a": mac, "b": mac}), "mac 52:54:00:00:00:01 is already on line 1"),
            (
                json.dumps([{"name": "a", **mac}, {"name": "A", "uuid": UUID1}]),
                "name A is already",
            ),
        ):
            self.assertIn(
                f"a.json:1: {mistake}", "\n".join(self.mistakes(self.write("a.json", text)))
            )

    def test_numbers_stay_as_they_are(self) -> None:
        file = self.write("a.json", '[{"name": "a", "mac": "525400000001", "x": 1.50, "y": -1e3}]')
        self.assertEqual(self.machines(file)["a"].labels, {"x": "1.50", "y": "-1e3"})

    def test_where_each_machine_stands(self) -> None:
        file = self.write("a.json", '{\n "a": {"mac": "525400000001"},\n\n "b":\n {"uuid": "x"}}')
        self.assertEqual(
            [each.partition(",")[0] for each in self.mistakes(file)],
            [f"a.json:5: uuid: expected a UUID like {UUID1}"],
        )
        file.write_text(file.read_text().replace('"x"', f'"{UUID1}"'))
        self.assertEqual(self.short(self.machines(file)["b"].provenance), "a.json:4")

    def test_mistakes(self) -> None:
        for text, mistake in (
            ("", "1: malformed JSON: expected a value, got the end"),
            ("3", "1: expected a list of machines, or names"),
            ('[{"name": "a",\n}]', "2: malformed JSON: expected a value after the comma, got }"),
            ("[\n1,\n\n]", "4: malformed JSON: expected a value after the comma"),
            ('[{"name" "a"}]', "1: malformed JSON: expected ':', got \"a\""),
            ('[{"name": "a" "b"}]', "1: malformed JSON: expected ',' or '}'"),
            ("[\n{name: 1}]", "2: malformed JSON: not expected: 'name: 1}]'"),
            ("[] []", "1: malformed JSON: expected the end, got ["),
            ('[\n"\\x"]', "2: malformed JSON: "),
            ('["a\nb"]', "1: malformed JSON: not expected"),
            ("[" * 1000, "1: malformed JSON: nested too deep"),
            ("[\n\n[]]", "3: expected a machine"),
            ('{"a":\n 1}', "1: expected keys like mac and address below 'a'"),
            ('[{"mac":\n "525400000001"}]', "1: expected a name"),
            ('{"a": {"mac": "525400000001",\n"MAC": "x"}}', "2: 'mac' given twice (first on"),
            ('{"a": {"mac": "525400000001",\n"name": "x"}}', "2: 'name' given twice"),
            ('{"a": {"mac": "525400000001"},\n"a": {}}', "2: 'a' given twice (first on line 1)"),
            ('{"a": {"mac": "525400000001",\n"labels": {}}}', "2: labels: expected a value"),
            ('{"a": {"mac": "525400000001",\n"x y": ""}}', "2: expected a key of letters"),
            ('{"a": {"mac": [\n[]]}}', "1: mac: expected a list of values"),
            ('{"a": {"mac": "525400000001",\n"room": ["b", "c"]}}', "2: room: expected one value"),
            ('{"a": {"mac": "525400000001",\n"x": "\\ud800"}}', "2: expected characters"),
        ):
            mistakes = self.mistakes(self.write("a.json", text))
            self.assertTrue(mistakes[0].startswith(f"a.json:{mistake}"), (text, mistakes))


class YamlTests(FilesCase):
    def test_an_alias_is_another_machine(self) -> None:
        file = self.write("a.yaml", "a: &x\n  mac: 525400000001\nb: *x\n")
        self.assertEqual(
            self.mistakes(file), ["a.yaml:2: mac 52:54:00:00:00:01 is already on line 2"]
        )

    def test_a_list_and_names(self) -> None:
        facts = (
            "mac: [52:54:00:00:00:12, 52-54-00-00-01-12]\n"
            f"uuid: {UUID1}\n"
            "address: 10.0.0.12\n"
            "groups:\n  - Exam PCs\n  - b12\n"
            "serial: SN 1\nasset: A7\nclient-id: 01:02\ncircuit-id: eth0/7\nremote-id: sw1\n"
            "Room: 012\nconsole: true\nprofile: 'debian12'\nempty: ~\nalso:\n"
        )
        indented = "".join(f"  {line}\n" for line in facts.splitlines())
        for text in (f"# the lab\n---\nws12:\n{indented}", f"-\n  name: ws12\n{indented}"):
            self.assertEqual(self.machines(self.write("a.yaml", text)), {"ws12": WS12})

    def test_a_mac_is_no_number(self) -> None:
        """YAML 1.1 takes digits with colons for a number of base 60."""
        file = self.write("a.yml", "a: {mac: 10:20:30:40:50:51, room: 1_0, floor: 0x1f, open: no}")
        machine = self.machines(file)["a"]
        self.assertEqual(machine.macs, ("10:20:30:40:50:51",))
        self.assertEqual(machine.labels, {"room": "1_0", "floor": "0x1f", "open": "no"})

    def test_aliases(self) -> None:
        file = self.write(
            "a.yaml",
            "a: &exam\n  mac: 525400000001\n  room: b12\n  os: &os debian12\n"
            "b:\n  <<: *exam\n  mac: 525400000002\n  next: *os\n"
            "c:\n  mac: 525400000003\n  <<: [{room: c1}, *exam]\n",
        )
        found = self.machines(file)
        self.assertEqual(found["b"].labels, {"room": "b12", "os": "debian12", "next": "debian12"})
        self.assertEqual(found["c"].labels["room"], "c1")

    def test_nothing(self) -> None:
        self.assertEqual(self.machines(self.write("a.yaml", "# nobody yet\n")), {})

    def test_mistakes(self) -> None:
        for text, mistake in (
            ("a:\n  mac: 525400000001\n b: 1\n", "3: malformed YAML: "),
            ("a:\n\tmac: x\n", "2: malformed YAML: found character"),
            ("a: [\n", "2: malformed YAML: "),
            ("- *x\n", "1: malformed YAML: there is no &x above"),
            ("a: &a\n  b: *a\n", "2: malformed YAML: there is no &a above"),
            ("- {}\n---\n- {}\n", "2: malformed YAML: expected a single document"),
            ("- [a]: b\n", "1: malformed YAML: expected a text as key"),
            ("a:\n  <<: b\n", "2: malformed YAML: <<: expected an alias"),
            ("[" * 100, "1: malformed YAML: nested too deep"),
            ("a:\n  x: \x01\n", "2: malformed YAML: "),
            ("ws1\n", "1: expected a list of machines"),
            ("a:\n  uuid: x\n", "2: uuid: expected a UUID"),
            (
                "a:\n  mac: 525400000001\nb:\n  mac:\n  - 525400000001\n",
                "4: mac 52:54:00:00:00:01",
            ),
            ("a:\n  room: b\n", "1: 'a' needs a mac"),
        ):
            mistakes = self.mistakes(self.write("a.yaml", text))
            self.assertTrue(mistakes[0].startswith(f"a.yaml:{mistake}"), (text, mistakes))

    def test_without_pyyaml(self) -> None:
        file = self.write("a.yaml", "a: {mac: 525400000001}\n")
        with patch.dict(sys.modules, {"yaml": None}):
            self.assertEqual(
                self.mistakes(file), ["a.yaml: YAML needs PyYAML: pip install 'pxetwist[yaml]'"]
            )
