"""The OpenSSH client against `twistd pxe`."""

from __future__ import annotations

import shlex
import stat

from bootlab.network import Lan
from bootlab.processes import LabError, run, wait_until
from tests.integration.case import FilesCase

INI = """
[pxe]
services = http, sftp
policies = main
content = files
state = memory
[service:sftp]
keys.alice = alice.keys
drop-folder = drop
drop-limit = 1M
[policy:main]
plugin = fixed
profile = disk
[profile:disk]
kind = local
[content:files]
plugin = directory
root = files
listing = yes
"""


class SftpClientTests(FilesCase):
    ini = INI
    service = "sftp"

    def prepare(self) -> None:
        super().prepare()
        self.drop = self.folder / "drop"
        (self.drop / "logs").mkdir(parents=True)
        for name in ("alice", "mallory"):
            key = ("-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name))
            run("ssh-keygen", *key)
        keys = f"# operators\nno key\n{(self.folder / 'alice.pub').read_text()}"
        (self.folder / "alice.keys").write_text(keys)

    def options(self, key: str = "alice") -> list[str]:
        known = str(self.folder / "known_hosts")
        words = ("BatchMode=yes", "StrictHostKeyChecking=accept-new", "LogLevel=ERROR")
        options = [*words, f"UserKnownHostsFile={known}", "IdentitiesOnly=yes"]
        return [*(word for each in options for word in ("-o", each)), "-i", str(self.folder / key)]

    def sftp(self, *lines: str, key: str = "alice", user: str = "alice") -> str:
        batch = self.folder / "batch"
        batch.write_text("\n".join(lines) + "\n")
        words = ["timeout", "60", "sftp", "-P", "2222", *self.options(key), "-b", str(batch)]
        return self.host.run(*words, f"{user}@{Lan.address}")

    def refused(self, *lines: str, key: str = "alice", user: str = "alice") -> str:
        with self.assertRaises(LabError) as caught:
            self.sftp(*lines, key=key, user=user)
        return str(caught.exception)

    def test_content_is_read(self) -> None:
        expected = self.put("boot/vmlinuz", 9_000_000).read_bytes()
        self.put("boot/empty", 0)
        (self.folder / "secret").write_text("secret")
        (self.files / "out").symlink_to("../secret")
        into = self.folder / "got"
        said = self.sftp("ls -l", "cd boot", "pwd", "ls -l", f"get vmlinuz {into}")
        self.assertRegex(said, r"(?m)^drwxr-xr-x .* drop$")
        self.assertRegex(said, r"(?m)^-r--r--r-- +1 +9000000 .* vmlinuz$")
        self.assertNotIn("out", said)
        self.assertEqual(into.read_bytes(), expected)
        self.server.wait_for(r"operator alice.*sent boot/vmlinuz, 8\.6 MiB", 5)
        words = ["timeout", "60", "scp", "-q", "-P", "2222", *self.options()]
        self.host.run(*words, f"alice@{Lan.address}:boot/vmlinuz", str(into))
        self.assertEqual(into.read_bytes(), expected)
        self.sftp(f"get boot/empty {into}")
        self.assertEqual(into.read_bytes(), b"")
        for name in ("out", "../secret", "/../../secret", "none", "boot"):
            self.refused(f"get {name} {into}")
        for line in ("rm boot/empty", "rename boot/empty x", "mkdir x", "rmdir boot", "ln -s a b"):
            self.refused(line)
        key = self.folder / "var" / "ssh_host_ed25519_key"
        found = next(self.folder.rglob(key.name))
        self.assertEqual(stat.S_IMODE(found.stat().st_mode), 0o600)

    def test_uploads_are_confined(self) -> None:
        path = self.put("new.img", 700_000)
        self.sftp(f"put {path} drop/new.img", f"put {path} drop/logs/", "ls -l drop")
        for name in ("new.img", "logs/new.img"):
            self.assertEqual((self.drop / name).read_bytes(), path.read_bytes())
            self.assertEqual(stat.S_IMODE((self.drop / name).stat().st_mode), 0o600)
        self.server.wait_for(r"operator alice.*received drop/new\.img, 683\.6 KiB", 5)
        words = ["timeout", "60", "scp", "-q", "-P", "2222", *self.options()]
        self.host.run(*words, str(path), f"alice@{Lan.address}:drop/by-scp")
        self.assertEqual((self.drop / "by-scp").read_bytes(), path.read_bytes())
        (self.drop / "link").symlink_to(self.folder)
        before = path.read_bytes()
        other = self.put("other.img", 700_000)
        for target in (
            *("drop/new.img", "new2.img", "drop/../x", "boot/x", "/etc/x", "drop/none/x"),
            *("drop/link/x", "drop/.hidden", "drop/link"),
        ):
            self.refused(f"put {other} {target}")
        large = self.put("large", 1_100_000)
        self.refused(f"put {large} drop/large")
        self.refused(f"get drop/new.img {self.folder / 'got'}")
        self.refused("rm drop/new.img")
        self.assertEqual((self.drop / "new.img").read_bytes(), before)
        names = sorted(each.name for each in self.drop.iterdir())
        self.assertEqual(names, ["by-scp", "link", "logs", "new.img"])
        self.assertNotIn("Traceback", self.server.log.read_text())

    def test_a_broken_upload_gets_no_name(self) -> None:
        path = self.put("half", 900_000)
        batch = self.folder / "slow"
        batch.write_text(f"put {path} drop/half\n")
        words = ["sftp", "-P", "2222", "-l", "400", *self.options(), "-b", str(batch)]
        client = self.start(self.host, [*words, f"alice@{Lan.address}"])
        wait_until(lambda: any(self.drop.glob(".pxetwist-*.part")), 20, "the first bytes")
        client.stop()
        self.server.wait_for(r"stopped receiving drop/half", 20)
        self.assertEqual([each.name for each in self.drop.iterdir()], ["logs"])

    def test_keys_and_nothing_else(self) -> None:
        self.assertIn("Permission denied", self.refused("pwd", key="mallory"))
        self.assertIn("Permission denied", self.refused("pwd", user="root"))
        ssh = ["timeout", "20", "ssh", "-p", "2222", *self.options()]
        target = f"alice@{Lan.address}"
        for words in (["id"], ["-tt"], ["-s", "other"]):
            with self.assertRaises(LabError, msg=words):
                self.host.run(*ssh, *words[:-1], target, *words[-1:])
        forward = ["-N", "-o", "ExitOnForwardFailure=yes", "-R", "8080:127.0.0.1:80", target]
        with self.assertRaises(LabError):
            self.host.run(*ssh, *forward)
        with self.assertRaises(LabError):
            self.host.run(*ssh, "-W", "127.0.0.1:80", target)
        for garbage in (
            "GET / HTTP/1.1",
            "SSH-2.0-x",
            "SSH-2.0-x\\r\\n\\0\\0\\0\\014\\012garbage!!",
        ):
            say = f"printf {shlex.quote(garbage)} | busybox nc -w 1 {Lan.address} 2222"
            self.host.run("sh", "-c", f"{say} >/dev/null || true")
        self.sftp("pwd")
        log = self.server.log.read_text()
        self.assertIn("alice.keys:2: no public key", log)
        self.assertNotIn("Traceback", log)
        self.assertNotIn("dispatching", log)
