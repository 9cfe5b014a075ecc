"""What workers tell the server that started them: log lines, events of machines, counters.

It goes one way, through a pipe: four bytes for the length of each piece, then the values.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any

import attrs
from twisted.logger import ILogObserver, LogEvent, LogLevel, eventAsText
from zope.interface import implementer

from pxetwist.interfaces import IBootObserver
from pxetwist.model.event import BootEvent
from pxetwist.model.packing import packed, unpacked

#: The descriptor of the pipe in a worker.
FEED = 3
_HEAD = struct.Struct("!I")
_OF_STARTS = ("twisted.", "log_legacy")


class Feed:
    """The worker's end."""

    def __init__(self, write: Callable[[memoryview], int]) -> None:
        self._write = write
        self._lock = Lock()  # threads log as well

    def tell(self, kind: str, *values: object) -> None:
        """Tell something; the server without which it would be told has this process killed.

        :raises ValueError: if it holds anything but values.
        """
        content = packed((kind, *values))
        rest = memoryview(_HEAD.pack(len(content)) + content)
        with self._lock:
            while rest:
                rest = rest[self._write(rest) :]


def feed() -> Feed:
    """Return the feed of this process, which is a worker."""
    return Feed(lambda data: os.write(FEED, data))


@attrs.define
class Pieces:
    """The server's end: puts together what arrives."""

    _buffer: bytearray = attrs.field(factory=bytearray)

    def add(self, data: bytes) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield kind and values of all that is whole by now.

        :raises ValueError: if a worker tells what is no value.
        """
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            [length] = _HEAD.unpack_from(self._buffer)
            end = _HEAD.size + length
            if len(self._buffer) < end:
                return
            told: Any = unpacked(bytes(self._buffer[_HEAD.size : end]))
            del self._buffer[:end]
            yield told[0], told[1:]


@implementer(ILogObserver)
class LogFeed:
    """Tells every line of the log, but not what Twisted says of each start."""

    def __init__(self, told: Feed) -> None:
        self._feed = told

    def __call__(self, event: LogEvent) -> None:
        """Tell a line, with its traceback."""
        namespace, level = event.get("log_namespace", ""), event.get("log_level", LogLevel.info)
        if level <= LogLevel.info and namespace.startswith(_OF_STARTS):
            return
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        self._feed.tell("log", namespace, level.name, text)


def observer() -> LogFeed:
    """Return the observer that ``twistd --logger`` is given in a worker."""
    return LogFeed(feed())


@implementer(IBootObserver)
class EventFeed:
    """Tells the events of machines: observers are the server's."""

    def __init__(self, told: Feed) -> None:
        self._feed = told

    def notice(self, event: BootEvent) -> None:
        """Tell an event; details that are no values as texts."""
        try:
            self._feed.tell("event", event)
        except ValueError:
            details = {name: str(value) for name, value in event.details.items()}
            self._feed.tell("event", attrs.evolve(event, details=details))
