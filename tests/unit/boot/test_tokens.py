"""Tokens in URLs: one spelling each."""

from __future__ import annotations

import string
from pathlib import Path

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
