"""The decisions about files that clients send."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.exchange.tftp import Finished, Limits, Outcome
from pxetwist.exchange.tftp_write import Action, Answer, Keep, WriteTransfer
from pxetwist.wire.tftp import Ack, Data, Error, ErrorCode, OptionAck, Options, encode


def data(number: int, size: int = 512) -> bytes:
    return encode(Data(number & 0xFFFF, bytes(size)))


def ack(number: int) -> bytes:
    return encode(Ack(number))


def started(*options: tuple[str, str]) -> WriteTransfer:
    return WriteTransfer(options, Limits(1468, 16), 0.0)


class WriteTests(SynchronousTestCase):
    def test_in_lockstep(self) -> None:
        transfer = started()
        self.assertEqual(transfer.start(), Answer(ack(0)))
        self.assertEqual(transfer.receive(data(1), 0.1), Keep(bytes(512), ack(1), False))
        self.assertIsNone(transfer.receive(data(1), 0.15))  # the network's double
        self.assertEqual(transfer.receive(data(1), 0.2), Answer(ack(1)))  # the ACK was lost
        self.assertIsNone(transfer.receive(data(1), 0.25))
        self.assertEqual(transfer.receive(data(2, 7), 0.3), Keep(bytes(7), ack(2), True))
        self.assertEqual(transfer.receive(data(2, 7), 0.4), Answer(ack(2)))
        self.assertEqual((transfer.received, transfer.repetitions), (519, 2))
        self.assertEqual(transfer.next_timeout(), 5.3)
        self.assertEqual(transfer.handle_timeout(5.3), Finished(Outcome.RECEIVED))
        self.assertEqual(transfer.closed(), Finished(Outcome.RECEIVED))

    def test_options(self) -> None:
        asked: Options = (("tsize", "3000"), ("BLKSIZE", "9000"), ("windowsize", "64"), ("x", ""))
        transfer = started(*asked)
        agreed = (("tsize", "3000"), ("BLKSIZE", "1468"), ("windowsize", "1"))
        self.assertEqual(transfer.start(), Answer(encode(OptionAck(agreed))))
        self.assertEqual(transfer.announced, 3000)

    def test_blocks_out_of_order(self) -> None:
        transfer = started()
        for number in (1, 2):
            transfer.receive(data(number), 0.1)
        for number in (1, 4, 65535):
            self.assertIsNone(transfer.receive(data(number), 0.2))
        self.assertEqual(transfer.receive(data(3), 0.3), Keep(bytes(512), ack(3), False))

    def test_more_blocks_than_numbers(self) -> None:
        transfer = started()
        for number in range(1, 65540):
            action = transfer.receive(data(number), 0.1)
        self.assertEqual(action, Keep(bytes(512), ack(65539 & 0xFFFF), False))

    def test_silence(self) -> None:
        transfer = started()
        done: list[tuple[float, Action]] = []
        while not (done and isinstance(done[-1][1], Finished)):
            now = transfer.next_timeout()
            done.append((now, transfer.handle_timeout(now)))
        self.assertEqual([now for now, _ in done], [1, 3, 7, 15])
        self.assertEqual(done[-1][1], Finished(Outcome.UNANSWERED))
        transfer = started()
        transfer.receive(data(1), 0.0)
        self.assertEqual(transfer.handle_timeout(1.0), Answer(ack(1)))
        self.assertEqual(transfer.handle_timeout(40.0), Finished(Outcome.LOST))

    def test_what_ends_it(self) -> None:
        error = Error(ErrorCode.DISK_FULL, "mine")
        transfer = started()
        self.assertEqual(transfer.receive(encode(error), 0.1), Finished(Outcome.ABORTED, error))
        self.assertEqual(transfer.closed(), Finished(Outcome.ABORTED))
        for nonsense in (b"", b"\0\7", ack(0), b"\0\1x"):
            self.assertIsNone(transfer.receive(nonsense, 0.1))
        long = transfer.receive(data(1, 600), 0.1)
        assert isinstance(long, Finished)
        self.assertEqual(long.outcome, Outcome.LOST)
