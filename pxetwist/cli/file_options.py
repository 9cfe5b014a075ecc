"""Command lines in which the file may come before the options."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.python import usage


class FileOptions(usage.Options):
    """Options of a command that takes one FILE, in any order with its options."""

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Move what stands before the first option behind the last one: getopt stops there."""
        words = list(options or ())
        first = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
        super().parseOptions(words[first:] + words[:first])

    def parseArgs(self, *args: str) -> None:
        """Take the INI."""
        if len(args) != 1:
            raise usage.UsageError(f"expected one FILE, got {' '.join(args) or 'none'}")
        self["file"] = args[0]
