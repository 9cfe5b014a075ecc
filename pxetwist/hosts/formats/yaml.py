"""YAML, of which only the tree is read: values are what is written, so a MAC stays a MAC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from pxetwist.hosts.formats import tree
from pxetwist.hosts.formats.rows import Report, Row
from pxetwist.hosts.formats.tree import Items, Key, Malformed, Node, Pairs, Scalar

_NULLS = ("", "~", "null", "Null", "NULL")
_MERGE = "<<"


def rows(text: str, report: Report) -> Iterator[Row]:
    """Yield the machines of a list of mappings, or of a mapping from names to mappings."""
    try:
        root = _parsed(text)
    except ModuleNotFoundError:
        report.add(0, "YAML needs PyYAML: pip install 'pxetwist[yaml]'")
    except Malformed as error:
        report.add(error.line, f"malformed YAML: {error.message}")
    else:
        yield from tree.rows(root, report)


def _parsed(text: str) -> Node:
    """Return the whole text as a tree.

    :raises ModuleNotFoundError: without PyYAML.
    :raises Malformed: if it is no YAML.
    """
    import yaml  # noqa: PLC0415  # an extra: only those who have YAML files need it

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Parser(yaml, yaml.parse(text, loader)).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = error.problem or error.context or "not understood"
        raise Malformed(mark.line + 1 if mark else 0, said) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Malformed(line, f"{error.reason}: {error.character!r}") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # PyYAML without its library in C lets through what int() and chr() raise
        raise Malformed(0, str(error)) from error


@attrs.define
class _Parser:
    """Makes the tree of PyYAML's events; what an alias repeats is one node in several places."""

    yaml: Any
    events: Iterator[Any]
    _anchors: dict[str, Node] = attrs.field(factory=dict)

    def document(self) -> Node:
        """Return the only document; nothing if there is none."""
        root: Node | None = None
        for event in self.events:
            if isinstance(event, self.yaml.DocumentStartEvent):
                if root is not None:
                    raise Malformed(event.start_mark.line + 1, "expected a single document")
                root = self._node(next(self.events), 0)
        return Scalar(1, "") if root is None else root

    def _node(self, event: Any, depth: int) -> Node:
        line = event.start_mark.line + 1
        if depth > tree.DEEPEST:
            raise Malformed(line, "nested too deep")
        node: Node
        if isinstance(event, self.yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise Malformed(line, f"there is no &{event.anchor} above")
            return self._anchors[event.anchor]
        if isinstance(event, self.yaml.ScalarEvent):
            null = event.implicit[0] and event.value in _NULLS
            node = Scalar(line, "" if null else event.value)
        elif isinstance(event, self.yaml.SequenceStartEvent):
            node = Items(line, tuple(self._children(self.yaml.SequenceEndEvent, depth)))
        else:
            node = self._pairs(line, list(self._children(self.yaml.MappingEndEvent, depth)))
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _children(self, end: type, depth: int) -> Iterator[Node]:
        for event in self.events:
            if isinstance(event, end):
                return
            yield self._node(event, depth + 1)

    def _pairs(self, line: int, children: list[Node]) -> Pairs:
        """Pair keys with values; ``<<`` adds what is not there yet."""
        own: list[tuple[Key, Node]] = []
        merged: list[tuple[Key, Node]] = []
        for key, value in zip(children[::2], children[1::2], strict=True):
            if not isinstance(key, Scalar):
                raise Malformed(key.line, "expected a text as key")
            if key.text == _MERGE:
                merged += _merged(value)
            else:
                own.append((Key(key.line, key.text), value))
        return Pairs(line, (*own, *_added(own, merged)))


def _merged(node: Node) -> Iterator[tuple[Key, Node]]:
    """Yield what ``<<`` brings: the pairs of a mapping, or of a list of them."""
    for each in node.items if isinstance(node, Items) else (node,):
        if not isinstance(each, Pairs):
            raise Malformed(node.line, "<<: expected an alias of a mapping")
        yield from each.pairs


def _added(
    own: list[tuple[Key, Node]], merged: list[tuple[Key, Node]]
) -> Iterator[tuple[Key, Node]]:
    """Yield the merged pairs whose key is not there yet: a mapping's own win, then the first."""
    there = {key.text for key, _ in own}
    for key, node in merged:
        if key.text not in there:
            there.add(key.text)
            yield key, node
