"""What rules can match at all: found without any machine, by comparing their conditions.

Nothing is claimed that is not sure: a rule may be dead without being found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, product

import attrs

from pxetwist.policies.conditions import Condition, Expression
from pxetwist.policies.grammar import All, AnyOf, Not
from pxetwist.policies.times import Dates

#: An expression with more ways to match is not looked at.
_MOST = 64


@attrs.frozen
class Literal:
    """A condition, or its opposite."""

    condition: Condition
    wanted: bool = True

    def __str__(self) -> str:
        return str(self.condition if self.wanted else Not(self.condition))

    def implies(self, other: Literal) -> bool:
        """Whether surely the other one holds where this one does."""
        mine, theirs = self.condition, other.condition
        if mine.key != theirs.key and "known" not in (mine.key, theirs.key):
            return False
        match self.wanted, other.wanted:
            case True, True:
                return mine.implies(theirs)
            case True, False:
                return mine.excludes(theirs)
            case False, False:
                return theirs.implies(mine)
        return False

    def contradicts(self, other: Literal) -> bool:
        """Whether surely never both hold."""
        return self.implies(attrs.evolve(other, wanted=not other.wanted))


#: Literals that hold together: one way in which an expression can hold.
Way = tuple[Literal, ...]


def ways(expression: Expression, wanted: bool = True) -> list[Way] | None:
    """Return all ways in which an expression holds (or does not); `None` if they are too many."""
    match expression:
        case Condition():
            return [(Literal(expression, wanted),)]
        case Not(part):
            return ways(part, not wanted)
        case All(parts) | AnyOf(parts):
            found = [ways(each, wanted) for each in parts]
            known = [each for each in found if each is not None]
            if len(known) < len(found):
                return None
            if isinstance(expression, AnyOf) == wanted:
                joined = list(chain.from_iterable(known))
                return joined if len(joined) <= _MOST else None
            return _crossed(known)


def _crossed(parts: Iterable[list[Way]]) -> list[Way] | None:
    found: list[Way] = [()]
    for part in parts:
        found = [(*before, *more) for before, more in product(found, part)]
        if len(found) > _MOST:
            return None
    return found


def contradiction(way: Way) -> tuple[Literal, Literal] | None:
    """Return two literals that never hold together, if there are."""
    for n, literal in enumerate(way):
        for other in way[:n]:
            if literal.contradicts(other) or other.contradicts(literal):
                return other, literal
    return None


def catches(earlier: Sequence[Way] | None, way: Way) -> bool:
    """Whether whatever matches this way matches one of the earlier ones."""
    for each in earlier or ():
        for wanted in each:
            for literal in way:
                if literal.implies(wanted):
                    break
            else:
                break
        else:
            return True
    return False


def is_over(way: Way, now: float) -> bool:
    """Whether it asks for dates that have passed."""
    return any(
        all(isinstance(each, Dates) and each.is_over(now) for each in literal.condition.patterns)
        for literal in way
        if literal.wanted and literal.condition.patterns
    )
