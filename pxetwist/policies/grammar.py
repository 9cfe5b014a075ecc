"""The language of rules: ``room=b12 (arch=x64 or group="Exam PCs") !time=mon-fri/08:00-18:00``.

What stands side by side must hold together; ``or`` binds weaker than that, ``not`` and ``!``
bind stronger. ``"`` keeps white space, commas and parentheses in a value; in quotes ``\\"`` and
``\\\\`` are the characters themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import attrs

T = TypeVar("T")

#: Enough for people; a limit keeps any text from exhausting the stack.
_DEPTH = 20


@attrs.frozen
class Word:
    """A piece of a rule without its quotes; `mask` has a ``"`` for each character in quotes.

    `raw` is how it was written, `at` where, counted from 1.
    """

    text: str
    mask: str
    raw: str
    at: int

    @property
    def bare(self) -> str:
        """The text if nothing in it was quoted, else nothing: keywords are not quoted."""
        return "" if '"' in self.mask else self.text

    def split(self, separator: str, most: int = -1) -> list[Word]:
        """Split it where the separator stands outside of quotes."""
        found: list[Word] = []
        start = 0
        for n, (character, quoted) in enumerate(zip(self.text, self.mask, strict=True)):
            if character == separator and quoted != '"' and len(found) != most:
                found.append(self._part(start, n))
                start = n + 1
        return [*found, self._part(start, len(self.text))]

    def _part(self, start: int, end: int) -> Word:
        return attrs.evolve(self, text=self.text[start:end], mask=self.mask[start:end])

    def error(self, message: str) -> ValueError:
        """Make an error that shows the place."""
        return ValueError(f"{self.raw} (character {self.at}): {message}")


def quoted(text: str) -> str:
    """Return how a value is written, in quotes if it needs them."""
    if re.fullmatch(r'[^\s"(),]+', text) and "->" not in text:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def words(text: str) -> list[Word]:
    """Split a text into words; ``(``, ``)`` and ``!`` before a word are words of their own.

    :raises ValueError: if a quote is not closed.
    """
    found: list[Word] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif text[at] in "()!":
            found.append(Word(text[at], " ", text[at], at + 1))
            at += 1
        else:
            word = _word(text, at)
            found.append(word)
            at += len(word.raw)
    return found


def cut(text: str, arrow: str) -> tuple[str, str] | None:
    """Split a text at the last arrow outside of quotes; `None` if there is none."""
    found, at, inside = -1, 0, False
    while at < len(text):
        if inside and text[at : at + 2] in ('\\"', "\\\\"):
            at += 1
        elif text[at] == '"':
            inside = not inside
        elif not inside and text.startswith(arrow, at):
            found = at
        at += 1
    return None if found < 0 else (text[:found], text[found + len(arrow) :])


def _word(text: str, start: int) -> Word:
    """Read a word; parentheses that are opened within it belong to it."""
    plain, mask, depth, at, inside = "", "", 0, start, False
    while at < len(text):
        character = text[at]
        if character == '"':
            inside = not inside
            at += 1
            continue
        if inside and text[at : at + 2] in ('\\"', "\\\\"):
            at += 1
            character = text[at]
        elif not inside:
            depth += {"(": 1, ")": -1}.get(character, 0)
            if character.isspace() or depth < 0:
                break
        plain, mask, at = plain + character, mask + (" ", '"')[inside], at + 1
    word = Word(plain, mask, text[start:at], start + 1)
    if inside:
        raise word.error('the quote is not closed; add " at its end')
    return word


@attrs.frozen
class Not(Generic[T]):
    """The opposite of a part, which is no `Not` itself."""

    part: T | All[T] | AnyOf[T]

    def __str__(self) -> str:
        return f"!({self.part})" if isinstance(self.part, All | AnyOf) else f"!{self.part}"


@attrs.frozen
class All(Generic[T]):
    """Every part must hold; without parts it always does."""

    parts: tuple[T | Not[T] | AnyOf[T], ...]

    def __str__(self) -> str:
        inner = (f"({part})" if isinstance(part, AnyOf) else str(part) for part in self.parts)
        return " ".join(inner) or "any"


@attrs.frozen
class AnyOf(Generic[T]):
    """At least one of the parts must hold; it has two or more."""

    parts: tuple[T | Not[T] | All[T], ...]

    def __str__(self) -> str:
        return " or ".join(map(str, self.parts))


def parse(text: str, leaf: Callable[[Word], T | Not[T] | None]) -> T | Not[T] | All[T] | AnyOf[T]:
    """Read an expression; `leaf` makes a condition of a word (`None`: what always holds).

    :raises ValueError: with the word and its place, if it cannot be read; also what `leaf` raises.
    """
    parser = _Parser(words(text), leaf)
    found = parser.any_of(0)
    if parser.ahead is not None:
        raise parser.ahead.error("there is no '(' for it; quote it if it belongs to a value")
    return found


class _Parser(Generic[T]):
    """Descends; `ahead` is the next word."""

    def __init__(self, found: list[Word], leaf: Callable[[Word], T | Not[T] | None]) -> None:
        self._words: Iterator[Word] = iter(found)
        self._leaf = leaf
        self._last = found[-1] if found else Word("", "", "", 1)
        self.ahead = next(self._words, None)

    def _take(self) -> Word:
        word, self.ahead = self.ahead, next(self._words, None)
        if word is None:
            raise self._last.error("a condition must follow")
        return word

    def any_of(self, depth: int) -> T | Not[T] | All[T] | AnyOf[T]:
        """Read what ``or`` joins."""
        found = [self._all(depth)]
        while self.ahead is not None and self.ahead.bare.lower() == "or":
            self._take()
            found.append(self._all(depth))
        return alternative(found)

    def _all(self, depth: int) -> T | Not[T] | All[T] | AnyOf[T]:
        found = [self._one(depth)]
        while self.ahead is not None and self.ahead.bare.lower() not in ("or", ")"):
            found.append(self._one(depth))
        return together(found)

    def _one(self, depth: int) -> T | Not[T] | All[T] | AnyOf[T]:
        word = self._take()
        if depth > _DEPTH:
            raise word.error(f"nested too deep; {_DEPTH} levels are the most")
        match word.bare.lower():
            case "!" | "not":
                return opposite(self._one(depth + 1), word)
            case "(":
                found = self.any_of(depth + 1)
                if self.ahead is None:
                    raise word.error("it is not closed; add ) behind its last condition")
                self._take()
                return found
            case ")" | "or":
                raise word.error("a condition must stand before it")
            case "and":
                raise word.error("leave it out: conditions side by side must hold together")
        try:
            made = self._leaf(word)
        except ValueError as error:
            raise word.error(str(error)) from error
        return All(()) if made is None else made


def opposite(part: T | Not[T] | All[T] | AnyOf[T], word: Word) -> T | Not[T] | All[T] | AnyOf[T]:
    """Negate.

    :raises ValueError: if nothing would be left.
    """
    if isinstance(part, Not):
        return part.part
    if part == All(()):
        raise word.error("'!any' matches no machine")
    return Not(part)


def together(
    parts: list[T | Not[T] | All[T] | AnyOf[T]],
) -> T | Not[T] | All[T] | AnyOf[T]:
    """Join by *and*, in the simplest shape."""
    flat: list[T | Not[T] | AnyOf[T]] = []
    for part in parts:
        flat += part.parts if isinstance(part, All) else [part]
    return flat[0] if len(flat) == 1 else All(tuple(flat))


def alternative(
    parts: list[T | Not[T] | All[T] | AnyOf[T]],
) -> T | Not[T] | All[T] | AnyOf[T]:
    """Join by *or*, in the simplest shape."""
    if All(()) in parts:
        return All(())
    flat: list[T | Not[T] | All[T]] = []
    for part in parts:
        flat += part.parts if isinstance(part, AnyOf) else [part]
    return flat[0] if len(flat) == 1 else AnyOf(tuple(flat))
