"""Lines of syslog: examples of the RFCs, what real programs send, and garbage."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import WireError
from pxetwist.wire.syslog import FACILITIES, SEVERITIES, SyslogMessage, decode

BOM = b"\xef\xbb\xbf"


class Vectors(SynchronousTestCase):
    def read(self, data: bytes) -> tuple[str, str, str, str]:
        found = decode(data)
        facility, severity = FACILITIES[found.facility], SEVERITIES[found.severity]
        return facility, severity, found.program, found.text

    def test_rfc_5424(self) -> None:
        """The examples of §6.5."""
        failed = b"'su root' failed for lonvick on /dev/pts/8"
        self.assertEqual(
            self.read(
                b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - " + BOM + failed
            ),
            ("auth", "critical", "su", failed.decode()),
        )
        start = b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 "
        data = (
            b'[exampleSDID@32473 iut="3" eventSource="a \\"]\\" b"][examplePriority@32473 x="1"]'
        )
        self.assertEqual(
            self.read(start + data + b" " + BOM + b"An entry"),
            ("local4", "notice", "evntslog", "An entry"),
        )
        self.assertEqual(self.read(start + data), ("local4", "notice", "evntslog", ""))
        self.assertEqual(self.read(b"<165>1 - - - - - - x"), ("local4", "notice", "", "x"))

    def test_rfc_3164(self) -> None:
        """The examples of §5.4, and what is left of a line that is none."""
        self.assertEqual(
            self.read(b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed"),
            ("auth", "critical", "su", "'su root' failed"),
        )
        self.assertEqual(self.read(b"Use the BFG!"), ("user", "notice", "", "Use the BFG!"))
        self.assertEqual(
            self.read(b"<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!"),
            ("user", "notice", "", "10.0.0.99 Use the BFG!"),
        )

    def test_programs(self) -> None:
        for line, program, text in (
            (b"<6>ipxe: tftp://10.0.0.1/x... ok\n", "ipxe", "tftp://10.0.0.1/x... ok"),
            (b"<3>ws12 ipxe: No such file\n", "ipxe", "No such file"),
            (b"<13>Nov 28 14:00:00 root: from busybox", "root", "from busybox"),
            (b"<30>Nov 28 14:00:00 box sshd[77]: hi\0", "sshd", "hi"),
            (b"<15>debconf: --> GET x", "debconf", "--> GET x"),
        ):
            self.assertEqual(self.read(line)[2:], (program, text))

    def test_what_is_no_text(self) -> None:
        """Nothing reaches a log that moves a cursor, or looks like another line."""
        self.assertEqual(
            decode(b"<13>a: b\x1b[2J\nfake: c\x00d\xff\xe2\x80\xae"),
            SyslogMessage(1, 5, "a", r"b\x1b[2J\nfake: c\x00d\xff\u202e"),
        )

    def test_priorities(self) -> None:
        self.assertEqual(self.read(b"<191>x")[:2], ("local7", "debug"))
        for wrong in (b"<192>x", b"<999>x", b"<01>x", b"<-1>x", b"<>x", b"<1", b"<1234>x"):
            self.assertRaises(WireError, decode, wrong)


class Garbage(SynchronousTestCase):
    @given(st.binary(max_size=200), st.sampled_from([b"", b"<13>", b"<13>1 - - - - - ["]))
    def test_anything(self, data: bytes, start: bytes) -> None:
        """It is a mistake, or one line of printable text."""
        with contextlib.suppress(WireError):
            found = decode(start + data)
            self.assertTrue((found.program + found.text).isprintable())

    def test_no_line_takes_long(self) -> None:
        for part in (b"[a ", b'[a="\\', b"] [", b'"', b"a.b-c/", b" "):
            decode(b"<13>1 - - - - - [" + part * 4000)
            decode(b"<13>" + part * 4000)
