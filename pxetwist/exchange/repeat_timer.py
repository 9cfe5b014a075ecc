"""When a TFTP transfer sends what was not acknowledged once more, and when it gives up."""

from __future__ import annotations

_FIRST_WAIT = 1.0  # seconds until the first repetition, and at most while the client answers
_SHORTEST_WAIT = 0.025
_LONGEST_WAIT = 8.0
_PATIENCE = 30.0  # seconds without a sign of life


class RepeatTimer:
    """When to repeat: after a few round trips as they are measured (RFC 6298 §2), then after
    doubling waits. A `timeout` that was agreed on holds as it is (RFC 2349). The `usual` wait is
    that without repetitions.
    """

    def __init__(self, timeout: float, now: float) -> None:
        self._agreed = timeout
        self._longest = max(_LONGEST_WAIT, timeout)
        self._patience = max(_PATIENCE, 2 * timeout)
        self.usual = timeout or _FIRST_WAIT
        self._mean = self._deviation = 0.0
        self._clean = True  # what was sent last was not repeated: the answer measures (Karn)
        self._sent = now
        self.wait = self.usual
        self.heard = now
        self.deadline = now + self.wait

    def progress(self, now: float) -> None:
        """Take note of an acknowledgement, after which the next packets leave."""
        if self._clean and not self._agreed:
            self._measure(now - self._sent)
        self.went_on(now)

    def went_on(self, heard: float) -> None:
        """Take note of acknowledgements up to now that were not measured, the last one `heard`."""
        self._clean = True
        self._sent = self.heard = heard
        self.wait = self.usual
        self.deadline = heard + self.wait

    def _measure(self, trip: float) -> None:
        """Take a round trip into account."""
        if self._mean:
            error = trip - self._mean
            self._deviation += (abs(error) - self._deviation) / 4
            self._mean += error / 8
        else:
            self._mean = trip or 1e-9
            self._deviation = trip / 2
        self.usual = min(max(self._mean + 4 * self._deviation, _SHORTEST_WAIT), _FIRST_WAIT)

    def repeated(self, now: float) -> None:
        """Take note that something was sent once more."""
        self._clean = False
        self.wait = min(self.wait * 2, self._longest)
        self.deadline = now + self.wait

    def exhausted(self, now: float) -> bool:
        """Whether the client has been silent for too long."""
        return now - self.heard >= self._patience
