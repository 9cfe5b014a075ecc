"""Everything that can go wrong, as a tree of exceptions.

Peer mistakes are :class:`WireError` and never tracebacks. Mistakes of a person are
:class:`ConfigError`. Anything that is not below :class:`PxeError` is a bug of ours.
"""

from __future__ import annotations

import re

import attrs


class PxeError(Exception):
    """The root of all expected errors."""


class WireError(PxeError):
    """A peer sent bytes that are no message of its protocol.

    :param reason: what is wrong, in words.
    :param offset: where in the input, in bytes from its start.
    """

    def __init__(self, reason: str, offset: int = 0) -> None:
        super().__init__(f"{reason} at byte {offset}")
        self.reason = reason
        self.offset = offset

    @property
    def sort(self) -> str:
        """The reason without its numbers, by which it is counted: peers choose those, and must
        not fill our memory with them.
        """
        return re.sub(r"\d+", "N", self.reason)


@attrs.frozen
class Location:
    """A place in a configuration file; lines count from 1, 0 means the whole file."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class ConfigError(PxeError):
    """One mistake in the configuration: where, and what would mend it."""

    def __init__(self, location: Location, message: str) -> None:
        super().__init__(f"{location}: {message}")
        self.location = location
        self.message = message


class ConfigErrors(PxeError):
    """All mistakes found in one reading of the configuration, in the order of the file."""

    def __init__(self, errors: list[ConfigError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors


class DirectoryUnavailable(PxeError):
    """A host directory could not be asked now: not the same as not knowing the machine."""


class PolicyError(PxeError):
    """A policy could not decide, for instance because a profile lacks the architecture."""


class LeaseConflict(PxeError):
    """An address that was to be committed belongs to another client by now."""


class StateUnavailable(PxeError):
    """The state engine could not store something: nothing may be acknowledged."""


class ContentError(PxeError):
    """A content path could not be opened."""


class ContentNotFound(ContentError):
    """No such content; the next store may have it."""


class ContentDenied(ContentError):
    """The content exists but is not for this request; the client is told the same as above."""


class ContentIncomplete(ContentError):
    """The content is made from another one, which no store has; the message names that."""


class LoginNeeded(ContentError):
    """The content exists, and a person's password opens it: none was given, or a wrong one."""


class OrderConflict(PxeError):
    """The machine has an order already, or there is no such order."""


class StartError(PxeError):
    """The server cannot start here: a port in use, rights missing, no interface; one line."""


class TreeError(PxeError):
    """A file of an export could not be had."""


class TreeNotFound(TreeError):
    """There is no such name."""


class TreeStale(TreeError):
    """There was such a file, but it is gone."""


class TreeDenied(TreeError):
    """The file is there, but not for us, or not for who asks."""


class TreeWrongKind(TreeError):
    """It is a directory, or none; a link, or none."""


class TreeLater(TreeError):
    """It is not known yet, for instance because an image is being read: ask again in a second."""
