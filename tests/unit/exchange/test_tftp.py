"""The rules of TFTP read transfers, without sockets and clocks."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.exchange.tftp import (
    Action,
    Finished,
    Limits,
    Outcome,
    ReadTransfer,
    SendBlocks,
    SendOack,
    negotiate,
)
from pxetwist.wire.tftp import Ack, Error, ErrorCode, OptionAck, Options, decode, encode


def ack(block: int) -> bytes:
    return encode(Ack(block & 0xFFFF))


def error(code: int, text: str = "") -> bytes:
    return encode(Error(ErrorCode(code), text))


def started(size: int, *, window: int = 0, block_size: int = 0) -> ReadTransfer:
    """A transfer that has sent its first blocks, at time 0."""
    options = [("windowsize", str(window))] if window else []
    options += [("blksize", str(block_size))] if block_size else []
    transfer = ReadTransfer(size, tuple(options), Limits(), 0.0)
    transfer.start()
    if options:
        assert transfer.receive(ack(0), 0.0) is not None
    return transfer


class NegotiationTests(SynchronousTestCase):
    def agreed(self, *asked: tuple[str, str], size: int | None = 1000) -> Options:
        return negotiate(asked, size, Limits(block_size=1468, window=16)).options

    def test_spelling_and_order_are_the_clients(self) -> None:
        asked = (("TSIZE", "0"), ("BlkSize", "1024"))
        self.assertEqual(self.agreed(*asked), (("TSIZE", "1000"), ("BlkSize", "1024")))

    def test_nothing_above_what_was_asked_or_is_allowed(self) -> None:
        self.assertEqual(self.agreed(("blksize", "512")), (("blksize", "512"),))
        self.assertEqual(self.agreed(("blksize", "8192")), (("blksize", "1468"),))
        self.assertEqual(self.agreed(("windowsize", "4")), (("windowsize", "4"),))
        self.assertEqual(self.agreed(("windowsize", "65535")), (("windowsize", "16"),))

    def test_the_timeout_is_echoed_or_left_out(self) -> None:
        self.assertEqual(self.agreed(("timeout", "255")), (("timeout", "255"),))
        self.assertEqual(self.agreed(("timeout", "0")), ())
        self.assertEqual(self.agreed(("timeout", "256")), ())

    def test_invalid_values_are_left_out(self) -> None:
        for value in ("", "-1", "+8", "0x10", "1e3", "٣", " 512", "9" * 30):
            for name in ("blksize", "tsize", "timeout", "windowsize"):
                self.assertEqual(self.agreed((name, value)), (), (name, value))
        for name, value in [("blksize", "7"), ("blksize", "65465"), ("windowsize", "65536")]:
            self.assertEqual(self.agreed((name, value)), ())
        self.assertEqual(self.agreed(("blksize", "8")), (("blksize", "8"),))

    def test_unknown_and_repeated_options_are_left_out(self) -> None:
        asked = (("multicast", ""), ("blksize", "600"), ("BLKSIZE", "700"), ("msftwindow", "1"))
        self.assertEqual(self.agreed(*asked), (("blksize", "600"),))

    def test_an_unknown_size_is_left_out(self) -> None:
        self.assertEqual(self.agreed(("tsize", "0"), size=None), ())

    def test_without_agreed_options_there_is_no_oack(self) -> None:
        transfer = ReadTransfer(10, (("multicast", ""),), Limits(), 0.0)
        self.assertEqual(transfer.start(), SendBlocks(1, 1))

    def test_the_oack(self) -> None:
        transfer = ReadTransfer(10, (("tsize", "0"), ("blksize", "1024")), Limits(), 0.0)
        action = transfer.start()
        assert isinstance(action, SendOack)
        self.assertEqual(decode(action.packet), OptionAck((("tsize", "10"), ("blksize", "1024"))))


class LockstepTests(SynchronousTestCase):
    def test_a_file(self) -> None:
        transfer = started(1300)
        self.assertEqual(transfer.receive(ack(1), 0.1), SendBlocks(2, 1))
        self.assertEqual(transfer.receive(ack(2), 0.2), SendBlocks(3, 1))
        self.assertEqual(transfer.acknowledged, 1024)
        self.assertEqual(transfer.receive(ack(3), 0.3), Finished(Outcome.SENT))
        self.assertEqual(transfer.acknowledged, 1300)

    def test_a_multiple_of_the_block_size_ends_with_an_empty_block(self) -> None:
        transfer = started(512)
        self.assertEqual(transfer.blocks, 2)
        self.assertEqual(transfer.receive(ack(1), 0.1), SendBlocks(2, 1))
        self.assertEqual(transfer.receive(ack(2), 0.2), Finished(Outcome.SENT))

    def test_an_empty_file_is_one_empty_block(self) -> None:
        transfer = ReadTransfer(0, (), Limits(), 0.0)
        self.assertEqual(transfer.start(), SendBlocks(1, 1))
        self.assertEqual(transfer.receive(ack(1), 0.1), Finished(Outcome.SENT))

    def test_a_repeated_ack_is_never_answered(self) -> None:
        transfer = started(5000)
        transfer.receive(ack(1), 0.1)
        self.assertIsNone(transfer.receive(ack(1), 0.1))
        self.assertIsNone(transfer.receive(ack(1), 0.2))
        self.assertIsNone(transfer.receive(ack(0), 0.2))

    def test_acks_of_what_was_not_sent_are_passed_over(self) -> None:
        transfer = started(5000)
        for block in (2, 3, 1000, 65535):
            self.assertIsNone(transfer.receive(ack(block), 0.1))

    def test_garbage_is_passed_over(self) -> None:
        transfer = started(5000)
        for data in (b"", b"\0", b"\0\4\0", b"\0\3\0\1abc", b"\0\1x\0octet\0", b"\xff" * 9):
            self.assertIsNone(transfer.receive(data, 0.1))

    def test_block_numbers_roll_over_to_zero(self) -> None:
        transfer = started(8 * 70000, block_size=8)
        for block in range(1, 70000):
            self.assertEqual(transfer.receive(ack(block), 0.1), SendBlocks(block + 1, 1))

    def test_the_oack_is_acknowledged_with_0_only(self) -> None:
        transfer = ReadTransfer(5000, (("tsize", "0"),), Limits(), 0.0)
        transfer.start()
        self.assertIsNone(transfer.receive(ack(1), 0.1))
        self.assertEqual(transfer.receive(ack(0), 0.1), SendBlocks(1, 1))


class WindowTests(SynchronousTestCase):
    def test_the_next_window_follows_the_ack_of_the_last_block(self) -> None:
        transfer = started(512 * 9, window=4)
        self.assertEqual(transfer.receive(ack(4), 0.1), SendBlocks(5, 4))
        self.assertEqual(transfer.receive(ack(8), 0.2), SendBlocks(9, 2))
        self.assertEqual(transfer.receive(ack(10), 0.3), Finished(Outcome.SENT))

    def test_a_lost_block_moves_the_window(self) -> None:
        transfer = started(512 * 20, window=4)
        self.assertEqual(transfer.receive(ack(2), 0.1), SendBlocks(3, 4))
        self.assertIsNone(transfer.receive(ack(2), 0.1))  # EDK2: one per block out of order
        self.assertEqual(transfer.receive(ack(6), 0.2), SendBlocks(7, 4))

    def test_a_lost_first_block_is_answered_once(self) -> None:
        transfer = started(512 * 20, window=4)
        transfer.receive(ack(4), 0.1)
        self.assertEqual(transfer.receive(ack(4), 0.2), SendBlocks(5, 4))
        self.assertIsNone(transfer.receive(ack(4), 0.2))
        self.assertIsNone(transfer.receive(ack(4), 0.3))
        self.assertEqual(transfer.repetitions, 1)
        self.assertEqual(transfer.handle_timeout(1.2), SendBlocks(5, 4))
        self.assertEqual(transfer.receive(ack(4), 1.3), SendBlocks(5, 4))

    def test_a_window_over_the_end_of_the_numbers(self) -> None:
        transfer = started(8 * 70000, window=64, block_size=8)
        base = 1
        while base < 69800:
            action = transfer.receive(ack(base + 63), 0.1)
            base += 64
            self.assertEqual(action, SendBlocks(base, 64))


class AheadTests(SynchronousTestCase):
    """ACKs in order that somebody else answers."""

    def test_lockstep(self) -> None:
        transfer = started(5000)  # ten blocks, of which the first was sent
        self.assertEqual((transfer.following, transfer.ahead(100), transfer.ahead(5)), (2, 8, 3))
        transfer.went_on(3, 0.5)
        self.assertEqual((transfer.following, transfer.acknowledged), (5, 3 * 512))
        self.assertEqual((transfer.heard, transfer.next_timeout()), (0.5, 1.5))
        self.assertEqual(transfer.receive(ack(4), 0.6), SendBlocks(5, 1))
        self.assertEqual(transfer.ahead(100), 4)
        transfer.went_on(4, 0.7)
        self.assertEqual(transfer.ahead(100), 0)
        self.assertEqual(transfer.receive(ack(9), 0.8), SendBlocks(10, 1))
        self.assertEqual(transfer.receive(ack(10), 0.8), Finished(Outcome.SENT))

    def test_windows(self) -> None:
        transfer = ReadTransfer(512 * 30, (("windowsize", "4"),), Limits(), 0.0)
        transfer.start()
        self.assertEqual(transfer.ahead(100), 0)  # the OACK is no window
        transfer.receive(ack(0), 0.0)
        self.assertEqual((transfer.following, transfer.ahead(100), transfer.ahead(12)), (5, 6, 1))
        transfer.went_on(6, 0.1)
        self.assertEqual(transfer.receive(ack(28), 0.2), SendBlocks(29, 3))
        self.assertEqual(transfer.ahead(100), 0)

    def test_numbers_do_not_roll_over(self) -> None:
        for window, first, count in ((1, 2, 65535), (64, 65, 1023)):
            transfer = started(8 * 200000, window=window, block_size=8)
            self.assertEqual((transfer.following, transfer.ahead(300000)), (first, count))
            transfer.went_on(count, 0.1)
            answer = transfer.receive(ack(first + window * count - 1), 0.2)
            self.assertEqual(answer, SendBlocks(first + window * count, window))

    def test_the_timeout_is_known_before_it_is_told_of_them(self) -> None:
        transfer = started(512 * 100)
        for heard in (0.5, 0.75):
            expected = transfer.next_timeout(heard)
            transfer.went_on(1, heard)
            self.assertEqual(transfer.next_timeout(), expected)
        transfer.handle_timeout(expected)
        self.assertGreater(transfer.next_timeout(0.75), expected)

    def test_the_last_one_measures_the_next_round_trip(self) -> None:
        transfer = started(512 * 1000)
        transfer.receive(ack(1), 0.3)
        transfer.went_on(100, 9.7)
        transfer.receive(ack(102), 10.0)
        self.assertLess(transfer.next_timeout(), 10.9)


class TimeTests(SynchronousTestCase):
    def run_out(self, transfer: ReadTransfer) -> list[tuple[float, Action]]:
        """Let the client be silent; return what was done when."""
        done: list[tuple[float, Action]] = []
        while not (done and isinstance(done[-1][1], Finished)):
            now = transfer.next_timeout()
            done.append((now, transfer.handle_timeout(now)))
        return done

    def test_waits_double_and_end(self) -> None:
        transfer = started(5000)
        transfer.receive(ack(1), 1.0)
        done = self.run_out(transfer)
        self.assertEqual([now for now, _ in done], [2, 4, 8, 16, 24, 32])
        self.assertEqual(done[-1][1], Finished(Outcome.LOST))
        self.assertEqual({action for _, action in done[:-1]}, {SendBlocks(2, 1)})

    def test_who_never_answered_may_never_have_asked(self) -> None:
        done = self.run_out(started(5000))
        self.assertEqual([now for now, _ in done], [1, 3, 7, 15])
        self.assertEqual(done[-1][1], Finished(Outcome.UNANSWERED))
        self.assertEqual({action for _, action in done[:-1]}, {SendBlocks(1, 1)})

    def test_repeated_requests_are_answered_so_often(self) -> None:
        transfer = started(5000)
        answers = [transfer.repeat_first(number / 64) for number in range(1000)]
        self.assertEqual(len([answer for answer in answers if answer]), 10)
        gaps = [at for at, answer in enumerate(answers) if answer]
        self.assertEqual(gaps, list(range(0, 40, 4)))

    def test_the_clients_timeout_is_used(self) -> None:
        transfer = ReadTransfer(5000, (("timeout", "3"),), Limits(), 0.0)
        transfer.start()
        self.assertEqual([now for now, _ in self.run_out(transfer)], [3, 9, 17, 25])

    def test_a_long_timeout_ends_as_well(self) -> None:
        transfer = ReadTransfer(5000, (("timeout", "255"),), Limits(), 0.0)
        self.assertEqual([now for now, _ in self.run_out(transfer)], [255, 510])

    def test_a_sign_of_life_makes_waits_short_again(self) -> None:
        transfer = started(5000)
        for now in (1.0, 3.0, 7.0):
            transfer.handle_timeout(now)
        transfer.receive(ack(1), 8.0)
        self.assertEqual(transfer.next_timeout(), 9.0)

    def answering(self, trip: float, rounds: int = 30) -> tuple[ReadTransfer, float]:
        """A transfer whose client takes so long for each window, and the time."""
        transfer, now = started(512 * 1000, window=4), 0.0
        for number in range(1, rounds + 1):
            now += trip
            transfer.receive(ack(4 * number), now)
        return transfer, now

    def test_a_lost_block_costs_a_few_round_trips(self) -> None:
        for trip, least, most in ((0.0005, 0.024, 0.026), (0.05, 0.049, 0.1), (0.5, 0.49, 1.0)):
            transfer, now = self.answering(trip)
            wait = transfer.next_timeout() - now
            self.assertTrue(least <= wait <= most, (trip, wait))

    def test_a_short_wait_doubles_as_well(self) -> None:
        transfer, now = self.answering(0.001)
        self.assertLess(transfer.next_timeout(), now + 0.03)
        done = self.run_out(transfer)
        self.assertLess(len(done), 16)
        self.assertEqual(done[-1][1], Finished(Outcome.LOST))

    def test_an_answer_to_what_was_repeated_measures_nothing(self) -> None:
        transfer, now = self.answering(0.001)
        transfer.handle_timeout(transfer.next_timeout())
        transfer.receive(ack(124), now + 20)
        self.assertLess(transfer.next_timeout(), now + 20.03)

    def test_a_fast_client_may_come_back_for_the_last_block(self) -> None:
        transfer, now = self.answering(0.001, 249)
        self.assertEqual(transfer.receive(ack(1000), now + 0.001), SendBlocks(1001, 1))
        done = self.run_out(transfer)
        self.assertEqual(done[-1][1], Finished(Outcome.PRESUMED))
        self.assertGreater(done[-1][0], now + 20)

    def test_a_window_is_repeated_whole(self) -> None:
        transfer = started(512 * 20, window=4)
        self.assertEqual(transfer.handle_timeout(1.0), SendBlocks(1, 4))
        self.assertEqual(transfer.receive(ack(3), 1.1), SendBlocks(4, 4))

    def test_the_oack_is_repeated_only_until_its_ack(self) -> None:
        transfer = ReadTransfer(5000, (("tsize", "0"),), Limits(), 0.0)
        first = transfer.start()
        self.assertEqual(transfer.handle_timeout(1.0), first)
        transfer.receive(ack(0), 1.5)
        self.assertEqual(transfer.handle_timeout(2.5), SendBlocks(1, 1))

    def test_a_client_that_leaves_without_its_last_ack(self) -> None:
        transfer = started(100)
        done = self.run_out(transfer)
        self.assertEqual(done[-1], (23, Finished(Outcome.PRESUMED)))

    def test_a_repeated_request_gets_the_first_packet_again(self) -> None:
        transfer = ReadTransfer(5000, (("tsize", "0"),), Limits(), 0.0)
        first = transfer.start()
        self.assertTrue(transfer.waits_for_first)
        self.assertEqual(transfer.repeat_first(0.4), first)
        transfer.receive(ack(0), 0.5)
        self.assertFalse(transfer.waits_for_first)


class EndTests(SynchronousTestCase):
    def test_an_error_after_the_oack_is_a_size_probe(self) -> None:
        for code in (8, 0):  # EDK2, PXELINUX
            transfer = ReadTransfer(5000, (("tsize", "0"),), Limits(), 0.0)
            transfer.start()
            action = transfer.receive(error(code, "enough"), 0.1)
            assert isinstance(action, Finished)
            self.assertEqual(action.outcome, Outcome.PROBED)

    def test_an_error_later_ends_the_transfer(self) -> None:
        transfer = started(5000)
        action = transfer.receive(error(3, "disk full"), 0.1)
        told = Error(ErrorCode.DISK_FULL, "disk full")
        self.assertEqual(action, Finished(Outcome.ABORTED, told))

    def test_a_closed_port(self) -> None:
        probing = ReadTransfer(5000, (("tsize", "0"),), Limits(), 0.0)
        probing.start()
        self.assertEqual(probing.closed(), Finished(Outcome.PROBED))
        self.assertEqual(started(5000).closed(), Finished(Outcome.ABORTED))
        self.assertEqual(started(100).closed(), Finished(Outcome.PRESUMED))


class LossTests(SynchronousTestCase):
    """A receiver after RFC 7440 behind a link that loses and doubles, both ways."""

    def receive_all(self, seed: int, window: int, size: int) -> int:
        rules = random.Random(seed)
        options = (("windowsize", str(window)), ("blksize", "8")) if window > 1 else ()
        transfer = ReadTransfer(size, options, Limits(), 0.0)
        expected, in_window, now, sent = (0 if options else 1), 0, 0.0, 0
        pending: list[Action] = [transfer.start()]
        for _ in range(100000):
            now += 0.001
            if not pending:
                now = max(now, transfer.next_timeout())
                pending.append(transfer.handle_timeout(now))
            action = pending.pop(0)
            if isinstance(action, Finished):
                self.assertIn(action.outcome, (Outcome.SENT, Outcome.PRESUMED))
                self.assertEqual(expected, transfer.blocks + 1)
                return sent
            numbers = range(0, 1)
            if isinstance(action, SendBlocks):
                numbers = range(action.first, action.first + action.blocks)
                sent += action.blocks
            for number in numbers:
                if rules.random() < 0.1:
                    continue
                if number == expected:
                    expected, in_window = expected + 1, in_window + 1
                    answer = in_window == window or number in (0, transfer.blocks)
                else:
                    answer = True  # RFC 7440: say again what was the last one in order
                if answer:
                    in_window = 0
                    for _ in range(rules.choice((0, 1, 1, 1, 1, 1, 1, 1, 1, 2))):
                        follow = transfer.receive(ack(expected - 1), now)
                        pending += [follow] if follow else []
        raise AssertionError("the transfer did not end")

    def test_everything_arrives_in_order(self) -> None:
        for seed in range(30):
            for window in (1, 4, 16, 64):
                self.receive_all(seed, window, 3000)

    def test_repetitions_stay_bounded(self) -> None:
        blocks = 3000 // 8 + 1
        for seed in range(30):
            self.assertLess(self.receive_all(seed, 4, 3000), 3 * blocks)
