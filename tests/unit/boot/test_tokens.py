"""Tokens in URLs: one spelling each."""

from __future__ import annotations

import string
from pathlib import Path

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.boot.tokens import Tokens
from pxetwist.model.identity import ClientIdentity


class TokenTests(SynchronousTestCase):
    def test_no_other_last_character_will_do(self) -> None:
        """Two bits of it say nothing, so that three others would decode to the same."""
        tokens = Tokens(Path(self.mktemp()), key=b"secret")
        token = tokens.issue(ClientIdentity(mac="52:54:00:00:00:01"), "12ab", 0.0)
        alphabet = string.ascii_letters + string.digits + "-_"
        taken = [last for last in alphabet if tokens.redeem(token[:-1] + last, 1.0)]
        self.assertEqual(taken, [token[-1]])

    def test_a_key_that_cannot_be_kept(self) -> None:
        """Machines boot all the same, with a key that lasts as long as the server."""
        folder = Path(self.mktemp())
        folder.write_text("not a folder")
        tokens = Tokens(folder)
        token = tokens.issue(ClientIdentity(mac="52:54:00:00:00:01"), "12ab", 0.0)
        self.assertIsNotNone(tokens.redeem(token, 1.0))
        self.assertNotEqual(Tokens(folder).sign(b"", ""), tokens.sign(b"", ""))

    def test_a_key_that_others_can_read(self) -> None:
        """It is told, and used: what runs by NFS knows files by it."""
        folder = Path(self.mktemp())
        signed = Tokens(folder).sign(b"", "")
        (folder / "token.key").chmod(0o644)
        with capturedLogs() as logs:
            self.assertEqual(Tokens(folder).sign(b"", ""), signed)
        (told,) = [formatEvent(each) for each in logs]
        self.assertIn("token.key can be read by others", told)
        self.assertIn("chmod 600", told)

    def test_a_damaged_key_is_made_anew_for_nobody_else(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "token.key").write_bytes(b"half")
        (folder / "token.key").chmod(0o644)
        Tokens(folder).sign(b"", "")
        self.assertEqual((folder / "token.key").stat().st_mode & 0o777, 0o600)
