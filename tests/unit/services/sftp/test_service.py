"""The SFTP service without SSH: files, uploads, keys, and connections that are none."""

from __future__ import annotations

import stat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.conch.interfaces import ISFTPFile, ISFTPServer
from twisted.conch.ssh import filetransfer
from twisted.conch.ssh.filetransfer import SFTPError
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pxetwist.errors import ContentDenied, StartError
from pxetwist.interfaces import IBootService, IContent
from pxetwist.model.boot import Protocol
from pxetwist.model.event import EventKind
from pxetwist.model.identity import ClientIdentity
from pxetwist.services.sftp.files import OperatorFiles
from pxetwist.services.sftp.service import HOST_KEY, OperatorKeys, Settings, SftpService, host_key
from pxetwist.services.sftp.work import Operator
from pxetwist.services.uploads import Uploads
from pxetwist.testing import FakeBoot, make_site
from tests.unit.services.ftp.test_service import Listing

READ, WRITE = filetransfer.FXF_READ, filetransfer.FXF_WRITE | filetransfer.FXF_CREAT
THEIRS = IPv4Address("TCP", "10.0.0.50", 4000)


class FolderCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.drop = self.folder / "drop"
        (self.drop / "logs").mkdir(parents=True)
        self.clock = Clock()
        self.files: dict[str, bytes | IContent | Exception] = {"boot/nbp.efi": b"0123456789"}
        self.store = Listing(self.files)
        self.boot = FakeBoot([self.store])
        self.site = make_site(self.boot, reactor=self.clock, state_folder=self.folder / "var")


class FileTests(FolderCase):
    def setUp(self) -> None:
        super().setUp()
        self.operator = self.of(Uploads(self.drop, 100))

    def of(self, uploads: Uploads | None) -> OperatorFiles:
        who = Operator("alice", ClientIdentity(), "10.0.0.1")
        return OperatorFiles(self.site, who, uploads)

    def open(self, name: bytes, flags: int) -> Any:
        made = self.successResultOf(self.operator.openFile(name, flags, {}))
        verifyObject(ISFTPFile, made)
        return made

    def code(self, result: Deferred[Any]) -> int:
        return int(self.failureResultOf(result, SFTPError).value.code)

    def test_a_content(self) -> None:
        verifyObject(ISFTPServer, self.operator)
        file = self.open(b"/boot/./x/../nbp.efi", READ)
        self.assertEqual(self.successResultOf(file.readChunk(0, 4)), b"0123")
        self.assertEqual(self.successResultOf(file.readChunk(4, 1 << 30)), b"456789")
        self.failureResultOf(file.readChunk(10, 1), EOFError)
        self.assertRaises(SFTPError, file.writeChunk, 0, b"x")
        self.assertEqual(self.store.asked[-1].protocol, Protocol.SFTP)
        file.close()
        self.assertEqual(self.boot.events[-1].machine, "operator alice")
        self.assertIn("sent boot/nbp.efi", self.boot.events[-1].summary)
        self.assertEqual(self.operator.opened, set())

    def test_what_cannot_be_had(self) -> None:
        self.files["denied"] = ContentDenied("no")
        self.files["bug"] = ValueError("a bug")
        denied, missing = filetransfer.FX_PERMISSION_DENIED, filetransfer.FX_NO_SUCH_FILE
        for name, code in ((b"none", missing), (b"denied", denied), (b"a\\..\\..\\b", denied)):
            self.assertEqual(self.code(self.operator.openFile(name, READ, {})), code, name)
        bug = self.code(self.operator.openFile(b"bug", READ, {}))
        self.assertEqual(bug, filetransfer.FX_FAILURE)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        for change in ("removeFile", "makeDirectory", "removeDirectory", "renameFile", "makeLink"):
            self.assertRaises(SFTPError, getattr(self.operator, change), b"boot/nbp.efi", b"x")
        for _ in range(16):
            self.open(b"boot/nbp.efi", READ)
        self.assertEqual(self.code(self.operator.openFile(b"boot/nbp.efi", READ, {})), bug)

    def test_folders(self) -> None:
        def names(path: bytes) -> list[bytes]:
            return [name for name, _, _ in self.successResultOf(self.operator.openDirectory(path))]

        (self.drop / "new").write_bytes(b"12")
        (self.drop / ".part").write_bytes(b"12")
        (self.drop / "link").symlink_to("new")
        self.assertEqual(names(b"."), [b"drop", b"boot"])
        self.assertEqual(names(b"/boot"), [b"grub", b"nbp.efi"])
        self.assertEqual(sorted(names(b"drop")), [b"logs", b"new"])
        self.code(self.operator.openDirectory(b"none"))
        self.operator = self.of(None)
        self.assertEqual(names(b"/"), [b"boot"])
        self.code(self.operator.openDirectory(b"drop"))

    def test_what_things_are(self) -> None:
        (self.drop / "new").write_bytes(b"12")

        def about(path: bytes) -> tuple[str, int]:
            found = self.successResultOf(self.operator.getAttrs(path, 1))
            return stat.filemode(found["permissions"]), found["size"]

        self.assertEqual(about(b"/"), ("drwxr-xr-x", 0))
        self.assertEqual(about(b"boot"), ("drwxr-xr-x", 0))
        self.assertEqual(about(b"boot/nbp.efi"), ("-r--r--r--", 10))
        self.assertEqual(about(b"drop"), ("drwxr-xr-x", 0))
        self.assertEqual(about(b"drop/new"), ("-rw-r--r--", 2))
        for name in (b"none", b"drop/none", b"drop/none/x"):
            self.code(self.operator.getAttrs(name, 1))
        self.assertEqual(self.operator.realPath(b"a/../../b"), b"/b")

    def test_an_upload(self) -> None:
        file = self.open(b"drop/logs/x", WRITE)
        self.successResultOf(file.writeChunk(0, b"abc"))
        self.assertFalse((self.drop / "logs" / "x").exists())
        self.successResultOf(file.writeChunk(3, b"def"))
        self.assertEqual(file.getAttrs()["size"], 6)
        self.successResultOf(file.close())
        self.assertEqual((self.drop / "logs" / "x").read_bytes(), b"abcdef")
        self.assertIn("received drop/logs/x, 6 bytes", self.boot.events[-1].summary)
        taken = self.code(self.operator.openFile(b"drop/logs/x", WRITE, {}))
        self.assertEqual(taken, filetransfer.FX_FAILURE)
        self.assertIn("did not take drop/logs/x: ", self.boot.events[-1].summary)

    def test_uploads_that_are_refused(self) -> None:
        for name in (b"x", b"drop", b"drop/none/x", b"drop/../x", b"boot/x", b"drop/.x"):
            self.code(self.operator.openFile(name, WRITE, {}))
        self.code(self.operator.openFile(b"drop/x", WRITE | READ, {}))
        self.code(self.operator.openFile(b"drop/x", WRITE | filetransfer.FXF_APPEND, {}))
        for offset, data, why in (
            (1, b"x", "files are sent from beginning to end"),
            (0, b"x" * 101, "more than 100 bytes"),
        ):
            file = self.open(b"drop/x", WRITE)
            self.code(file.writeChunk(offset, data))
            self.code(file.writeChunk(0, b"x"))
            self.code(file.close())
            self.assertEqual(self.boot.events[-1].kind, EventKind.FAILED)
            self.assertEqual(self.boot.events[-1].summary, f"did not take drop/x: {why}")
        file = self.open(b"drop/x", WRITE)
        self.successResultOf(file.writeChunk(0, b"x"))
        file.abandon()
        self.assertEqual(sorted(each.name for each in self.drop.iterdir()), ["logs"])


class ConnectionTests(FolderCase):
    def setUp(self) -> None:
        super().setUp()
        keys = {"alice": self.folder / "alice.keys"}
        keys["alice"].write_text("")
        self.settings = Settings(keys=keys, drop_folder=self.drop, max_per_client=2)
        self.service = SftpService(self.settings, self.site)
        self.service.factory.load()
        self.service.factory.startFactory()

    def connect(self) -> tuple[Any, StringTransport]:
        made: Any = self.service.factory.buildProtocol(THEIRS)
        wire = StringTransport(peerAddress=THEIRS)
        if made is not None:
            made.makeConnection(wire)
        return made, wire

    def test_garbage_and_crowds(self) -> None:
        verifyObject(IBootService, self.service)
        first, wire = self.connect()
        self.assertTrue(wire.value().startswith(b"SSH-2.0-"))
        first.dataReceived(b"SSH-2.0-x\r\n" + b"\0\0\0\x0c\x0a\x14\0")
        first.dataReceived(bytes(64))
        self.assertTrue(wire.disconnecting or wire.disconnected)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.connect()
        self.assertIsNone(self.connect()[0])
        first.connectionLost(Failure(ConnectionError()))
        third, wire = self.connect()
        self.assertIsNotNone(third)
        self.clock.advance(31)
        self.assertTrue(wire.disconnecting or wire.disconnected)
        self.assertEqual(self.service.counts()["no login in time"], 2)

    def test_keys(self) -> None:
        file = self.folder / "var" / HOST_KEY
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        key = host_key(file)
        self.assertEqual(key, self.service.factory.privateKeys[b"ssh-ed25519"])
        keys = OperatorKeys(self.settings.keys, self.site)
        self.settings.keys["alice"].write_bytes(
            b"# a\nno key\n" + key.public().toString("openssh")
        )
        self.assertEqual(list(keys.getAuthorizedKeys(b"alice")), [key.public()])
        self.assertEqual(list(keys.getAuthorizedKeys(b"root\xff")), [])
        self.settings.keys["alice"].unlink()
        self.assertEqual(list(keys.getAuthorizedKeys(b"alice")), [])
        file.chmod(0o640)
        with self.assertRaisesRegex(StartError, "mend: chmod 600"):
            host_key(file)
        file.chmod(0o600)
        file.write_bytes(b"nonsense")
        self.assertRaises(StartError, host_key, file)

    def test_settings(self) -> None:
        with self.assertRaisesRegex(ValueError, "there is no folder"):
            Settings(keys={}, drop_folder=self.folder / "none")
        with self.assertRaisesRegex(ValueError, r"keys\.bob: there is no file"):
            Settings(keys={"bob": self.folder / "bob"})
        with self.assertRaisesRegex(ValueError, "drop-over is for uploads: name a drop-folder"):
            Settings(keys={}, drop_over=True)
