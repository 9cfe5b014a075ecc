"""What README and documentation show is what the product understands."""

from __future__ import annotations

import re
import shlex
import shutil
import textwrap
from collections.abc import Iterator
from configparser import RawConfigParser
from importlib import import_module
from pathlib import Path

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.cli import COMMANDS
from pxetwist.config.assemble import Assembly, assemble
from pxetwist.config.load import load
from pxetwist.errors import ConfigErrors
from pxetwist.hosts import hostfile
from tests.unit import certificates

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SAMPLES = ROOT / "tests" / "unit" / "hosts" / "samples"
PAGES = (*sorted(DOCS.glob("*.rst")), *sorted(DOCS.glob("plugins/*.rst")))

_FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DIRECTIVE = re.compile(
    r"^\.\. code-block:: (\w+)\n((?:   :[^\n]*\n)*)\n((?:(?:   [^\n]*)?\n)+)", re.MULTILINE
)
#: The files with secrets that the INIs name.
_SECRETS = (
    *("bind-password", "database-password", "netbox-token", "root-password.hash"),
    *("share-password", "administrator-password", "esxi-root.hash"),
)
_CLASS = re.compile(r":class: (\w+)")


@attrs.frozen
class Block:
    """A block of a page: its language, its class if it has one, and where it stands."""

    language: str
    role: str
    text: str
    place: str


def blocks(page: Path) -> Iterator[Block]:
    """Find the blocks of a page."""
    text = page.read_text()
    found = _FENCED if page.suffix == ".md" else _DIRECTIVE
    for match in found.finditer(text):
        language, body, role = match[1], textwrap.dedent(match[match.re.groups]), ""
        if page.suffix == ".rst" and (marked := _CLASS.search(match[2])):
            role = marked[1]
        line = text.count("\n", 0, match.start()) + 1
        yield Block(language, role, body, f"{page.relative_to(ROOT)}:{line}")


ALL = [block for page in (ROOT / "README.md", *PAGES) for block in blocks(page)]


def parsed(text: str) -> RawConfigParser:
    """Read an INI without judging it."""
    parser = RawConfigParser(delimiters=("=",), interpolation=None, default_section="")
    parser.read_string(text)
    return parser


def completed(fragment: str) -> str:
    """Complete a fragment with the documented preamble: a section of the fragment takes the
    place of the preamble's, options of [pxe] one by one.
    """
    merged, added = parsed((DOCS / "preamble.ini").read_text()), parsed(fragment)
    for section in added.sections():
        if section != "pxe":
            merged.remove_section(section)
    merged.read_dict(added)
    lines = []
    for section in merged.sections():
        lines.append(f"[{section}]")
        for name, value in merged.items(section):
            lines.append(f"{name} = " + value.replace("\n", "\n    "))
    return "\n".join(lines) + "\n"


class IniTests(SynchronousTestCase):
    """Each INI of the documentation loads."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        (self.folder / "tftpboot").mkdir(parents=True)
        (self.folder / "own" / "debian12").mkdir(parents=True)
        (self.folder / "images").mkdir()
        (self.folder / "machine-files").mkdir()
        (self.folder / "images" / "debian-12.iso").write_bytes(b"")
        (self.folder / "pki").mkdir()
        (self.folder / "uploads").mkdir()
        (self.folder / "drop").mkdir()
        (self.folder / "alice.keys").touch()
        for name in ("boot", "install"):
            certificates.write_server(self.folder / "pki", "10.0.0.1", name=name)
        certificates.write_authority(self.folder / "pki" / "ca.pem")
        (self.folder / "old").mkdir()
        (self.folder / "wipe.ipxe").write_text("#!ipxe\n")
        for name in _SECRETS:
            secret = self.folder / name
            secret.touch(mode=0o600)
            secret.write_text("secret\n")
        for name in ("dnsmasq.conf", "ethers", "hosts"):
            shutil.copy(SAMPLES / name, self.folder / "old" / name)
        (self.folder / "hosts.csv").write_text("name,mac,profile\nws12,525400123456,debian12\n")

    def load(self, text: str, place: str) -> Assembly:
        file = self.folder / "pxe.ini"
        file.write_text(text)
        try:
            return assemble(load(file), Clock())
        except ConfigErrors as mistakes:
            raise AssertionError(f"{place}:\n{mistakes}\n{text}") from mistakes

    def test_whole_ones(self) -> None:
        whole = [each for each in ALL if (each.language, each.role) == ("ini", "")]
        self.assertGreaterEqual(len(whole), 2)  # README and quick start
        for block in whole:
            self.load(block.text, block.place)

    def test_fragments(self) -> None:
        fragments = [each for each in ALL if each.role == "fragment"]
        self.assertGreaterEqual(len(fragments), 8)
        for block in fragments:
            self.load(completed(block.text), block.place)

    def test_a_fragment_replaces_and_adds(self) -> None:
        text = "[pxe]\nservices = tftp, http\n[service:http]\nport = 8080\n[loader:own]\n"
        text += "architecture = arm64\nfamily = ipxe\nfile = ipxe.efi\n"
        configuration = self.load(completed(text), "").configuration
        self.assertEqual(configuration.settings.services, ("tftp", "http"))
        self.assertEqual(configuration.settings.policies, ("main",))
        self.assertEqual(configuration.loaders[0].file, "ipxe.efi")

    def test_files_of_machines(self) -> None:
        others = [each for each in ALL if each.role == "hosts"]
        csvs = [each for each in ALL if each.text.startswith("name,mac,")]
        self.assertLessEqual({"ini", "json", "yaml"}, {each.language for each in others})
        self.assertTrue(csvs)
        named = [*((each, each.language) for each in others), *((each, "csv") for each in csvs)]
        for block, ending in named:
            file = self.folder / f"machines.{ending}"
            file.write_text(block.text)
            self.assertTrue(hostfile.read([file], "test").machines, block.place)


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Find the commands that readers are told to type, and where."""
    for block in ALL:
        for line in block.text.splitlines():
            if block.language == "sh" or (block.language == "console" and line[:2] == "$ "):
                yield block.place, shlex.split(line.removeprefix("$ "), comments=True)


class CommandTests(SynchronousTestCase):
    """Each command of the documentation exists, with its options."""

    def test_pxetwist(self) -> None:
        seen = set()
        for place, words in command_lines():
            if words[:1] != ["pxetwist"]:
                continue
            self.assertIn(words[1], COMMANDS, place)
            seen.add(words[1])
            options = import_module(f"pxetwist.cli.{words[1]}").Options()
            options.parseOptions(words[2:])  # raises UsageError
        self.assertEqual(seen, set(COMMANDS))

    def test_pxetwist_in_sentences(self) -> None:
        for page in (ROOT / "README.md", *PAGES):
            for name in re.findall(r"`pxetwist ([a-z]+)", page.read_text()):
                self.assertIn(name, COMMANDS, page.name)

    def test_make(self) -> None:
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        ours = (words for _, words in command_lines() if words[:1] == ["make"])
        named = {words[1] for words in ours if words[1] != "-C"}  # another program's
        for page in (ROOT / "README.md", *PAGES):
            named |= set(re.findall(r"`make ([a-z]+)", page.read_text()))
        self.assertLessEqual({"run", "test"}, named)
        self.assertLessEqual(named, targets)


class PageTests(SynchronousTestCase):
    """What pages name is there."""

    def test_links_of_the_readme(self) -> None:
        links = re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text())
        self.assertTrue(links)
        for link in links:
            self.assertTrue((ROOT / link).is_file(), link)

    def test_news_fragments(self) -> None:
        for file in (DOCS / "newsfragments").glob("*.md"):
            self.assertRegex(file.name, r"^(\+[\w-]+|\d+)\.(feature|bugfix|doc|removal|misc)\.md$")
            self.assertEqual(len(file.read_text().splitlines()), 1, file.name)
