"""Files for machines: whose come first, what templates make, and whose they are."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import ConfigErrors, TreeDenied, TreeNotFound, TreeStale, TreeWrongKind
from pxetwist.exports.machines import MachinesExport, Settings, build
from pxetwist.exports.path_patterns import PathPatterns
from pxetwist.file_tree import IExport, IFileTree
from pxetwist.model.boot import BootRequest, BootStage, Protocol
from pxetwist.model.file_tree import FileKind
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.testing import make_site
from pxetwist.testing.trees import walk

WS1 = Machine("ws1", groups=("lab", "all"), labels={"room": "b12"})
WS2 = Machine("ws2", groups=("all",))


class MachinesCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def write(self, path: str, text: str, mode: int = 0o644) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def make(self, secrets: str = "") -> MachinesExport:
        settings = Settings(path=self.folder, secrets=PathPatterns.parse(secrets))
        return build(settings, make_site(reactor=self.clock))

    def tree(self, machine: Machine | None, export: MachinesExport | None = None) -> IFileTree:
        identity = ClientIdentity(mac=f"52:54:00:00:00:0{1 if machine else 9}")
        request = BootRequest(identity, BootStage.ROOT, Protocol.NFS, machine=machine)
        return (export or self.make()).tree(request)

    def text(self, tree: IFileTree, path: str) -> str:
        key = walk(tree, path)
        data = tree.open(key)
        self.addCleanup(data.close)
        self.assertEqual(data.size, tree.attributes(key).size)
        return data.read(0, 1000).decode()


class MachinesTests(MachinesCase):
    def test_whose_files_come_first(self) -> None:
        self.write("common/etc/motd", "common")
        self.write("common/etc/issue", "common")
        self.write("groups/all/etc/motd", "all")
        self.write("groups/lab/etc/motd", "lab")
        self.write("machines/ws2/etc/issue", "ws2")
        export = self.make()
        self.assertTrue(IExport.providedBy(export))
        for machine, motd, issue in (
            (WS1, "lab", "common"),
            (WS2, "all", "ws2"),
            (Machine("ws3"), "common", "common"),
            (None, "common", "common"),
        ):
            tree = self.tree(machine, export)
            self.assertEqual(self.text(tree, "etc/motd"), motd)
            self.assertEqual(self.text(tree, "etc/issue"), issue)
            self.assertIs(self.tree(machine, export), tree)

    def test_templates(self) -> None:
        self.write("common/etc/hostname.j2", "{{ hostname }}\n")
        self.write("common/etc/room.j2", "{{ machine.labels.room }} {{ mac }} {{ 'x' | b64 }}")
        tree = self.tree(WS1)
        self.assertEqual(self.text(tree, "etc/hostname"), "ws1\n")
        self.assertEqual(self.text(tree, "etc/room"), "b12 52:54:00:00:00:01 eA==")
        self.assertEqual(
            {each.name for each in tree.entries(walk(tree, "etc"), 0)}, {b"hostname", b"room"}
        )
        self.assertEqual(self.text(self.tree(None), "etc/hostname"), "host-525400000009\n")

    def test_another_text_has_another_time(self) -> None:
        """A client that has it looks at nothing else, as the names are of one length."""
        self.write("common/hostname.j2", "{{ hostname }}")
        self.write("common/room.j2", "{{ machine.labels.room }}")
        export = self.make()
        tree = self.tree(WS1, export)
        facts = tree.attributes(walk(tree, "hostname"))
        again = self.tree(WS1)
        self.assertEqual(again.attributes(walk(again, "hostname")), facts)
        other = self.tree(WS2, export)
        self.assertNotEqual(other.attributes(walk(other, "hostname")).mtime, facts.mtime)
        room = walk(tree, "room")
        before = tree.attributes(room)
        self.assertIs(
            self.tree(Machine("ws1", groups=WS1.groups, labels={"room": "c12"}), export), tree
        )
        self.assertEqual(self.text(tree, "room"), "c12")
        self.assertNotEqual(tree.attributes(room).mtime, before.mtime)

    def test_keys_are_worth_nothing_to_another_machine(self) -> None:
        self.write("common/key.j2", "{{ hostname }}")
        self.write("common/plain", "all")
        export = self.make()
        one, two = self.tree(WS1, export), self.tree(WS2, export)
        for name in ("key", "plain"):
            key = walk(one, name)
            for ask in (two.attributes, two.open):
                self.assertRaises(TreeStale, ask, key)
            self.assertNotEqual(key, walk(two, name))
        self.assertRaises(TreeStale, two.look_up, one.root(), b"plain")
        self.assertEqual(walk(self.tree(WS1), "key"), walk(one, "key"))  # after a restart

    def test_owners_modes_and_secrets(self) -> None:
        self.write("common/etc/ssh/ssh_host_key", "k", 0o644)
        self.write("common/etc/ssh/sshd_config", "c", 0o640)
        self.write("common/usr/bin/tool", "t", 0o755)
        self.write("common/root/x", "x", 0o644)
        os.symlink("tool", self.folder / "common/usr/bin/also")
        tree = self.tree(WS1, self.make("/etc/ssh/ssh_host_*\n/root"))
        for path, mode in (
            ("etc/ssh/ssh_host_key", 0o600),
            ("etc/ssh/sshd_config", 0o640),
            ("usr/bin/tool", 0o755),
            ("root", 0o700),
            ("root/x", 0o600),
        ):
            facts = tree.attributes(walk(tree, path))
            self.assertEqual((facts.mode, facts.uid, facts.gid), (mode, 0, 0), path)
        self.assertEqual(tree.link_target(walk(tree, "usr/bin/also")), b"tool")

    def test_what_changes_is_seen_a_second_later(self) -> None:
        self.write("common/etc/motd", "old")
        export = self.make()
        tree = self.tree(WS1, export)
        etc, motd = walk(tree, "etc"), walk(tree, "etc/motd")
        before = tree.attributes(etc)
        self.write("common/etc/motd", "new!")
        self.write("machines/ws1/etc/issue", "mine")
        self.assertRaises(TreeNotFound, tree.look_up, etc, b"issue")
        self.clock.advance(1)
        self.assertEqual(self.text(tree, "etc/issue"), "mine")
        self.assertEqual(self.text(tree, "etc/motd"), "new!")
        self.assertEqual(tree.attributes(motd).size, 4)
        self.assertNotEqual(tree.attributes(etc).mtime, before.mtime)
        (self.folder / "machines/ws1/etc/issue").unlink()
        self.clock.advance(1)
        self.assertRaises(TreeNotFound, tree.look_up, etc, b"issue")

    def test_a_file_over_a_directory_and_the_other_way_round(self) -> None:
        self.write("common/a/b/c", "")
        self.write("common/d", "")
        self.write("machines/ws1/a", "file")
        self.write("machines/ws1/d/e", "file")
        tree = self.tree(WS1)
        self.assertRaises(TreeWrongKind, walk, tree, "a/b")
        self.assertEqual(self.text(tree, "a"), "file")
        self.assertEqual(self.text(tree, "d/e"), "file")

    def test_nothing_leads_out(self) -> None:
        secret = self.folder.parent / "secret"
        secret.write_text("s")
        self.write("machines/ws1/x", "")
        (self.folder / "common").mkdir()
        os.symlink(secret, self.folder / "common/out")
        os.symlink("..", self.folder / "common/up")
        for name in ("..", ".", "", "../machines/ws1", "a/b"):
            for machine in (Machine(name), Machine("ws4", groups=(name,))):
                self.assertRaises(TreeNotFound, walk, self.tree(machine), "x")
        tree = self.tree(WS2)
        self.assertEqual(tree.attributes(walk(tree, "out")).kind, FileKind.SYMLINK)
        self.assertRaises(TreeWrongKind, tree.open, walk(tree, "out"))
        self.assertRaises(TreeWrongKind, walk, tree, "up/machines")

    def test_a_file_that_becomes_a_link_meanwhile(self) -> None:
        secret = self.folder.parent / "secret"
        secret.write_text("s")
        file = self.write("common/a", "x")
        tree = self.tree(WS1)
        key = walk(tree, "a")
        file.unlink()
        file.symlink_to(secret)
        self.assertRaises(TreeWrongKind, tree.open, key)
        file.unlink()
        os.link(secret, file)
        self.assertRaises(TreeStale, tree.open, key)


class MistakesTests(MachinesCase):
    def test_a_template_that_cannot_be_read(self) -> None:
        self.write("common/bad.j2", "one\n{% if %}\n")
        file = self.write("machines/ws1/worse.j2", "")
        file.write_bytes(b"\xff")
        with self.assertRaises(ConfigErrors) as raised:
            self.make()
        first, second = sorted(map(str, raised.exception.errors))
        self.assertIn("common/bad.j2:2: ", first)
        self.assertIn("machines/ws1/worse.j2: ", second)

    def test_a_template_that_says_too_much(self) -> None:
        """The file is there, and refuses; the log says why, once."""
        self.write("common/etc/room.j2", "{{ machine.labels.room }}")
        self.write("common/etc/motd", "hello")
        tree = self.tree(WS2)
        with capturedLogs() as logs:
            self.assertRaises(TreeDenied, tree.open, walk(tree, "etc/room"))
            self.assertEqual(self.text(tree, "etc/motd"), "hello")
            self.assertRaises(TreeDenied, tree.open, walk(tree, "etc/room"))
        [said] = [event for event in logs if "why" in event]
        self.assertIn("room", said["why"])
        self.assertEqual(said["who"], "machine ws2")
