"""Machines in a tree of lists and mappings: what JSON and YAML have in common."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from pxetwist.hosts.formats.rows import LABEL, Report, Row, Value

#: Deeper trees are refused by both parsers; machines need four levels.
DEEPEST = 20


@attrs.frozen
class Scalar:
    """A text, number or word, as it is spelled; empty for null."""

    line: int
    text: str


@attrs.frozen
class Items:
    """A list."""

    line: int
    items: tuple[Node, ...]


@attrs.frozen
class Key:
    """A key of a mapping."""

    line: int
    text: str


@attrs.frozen
class Pairs:
    """A mapping, in its order; a key may be there twice."""

    line: int
    pairs: tuple[tuple[Key, Node], ...]


Node = Scalar | Items | Pairs


class Malformed(Exception):
    """A text is no JSON or YAML: where, and why."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def rows(root: Node, report: Report) -> Iterator[Row]:
    """Yield the machines of a list of mappings, or of a mapping from names to mappings."""
    named = root.pairs if isinstance(root, Pairs) else ()
    nodes = root.items if isinstance(root, Items) else ()
    if isinstance(root, Scalar) and root.text:
        report.add(root.line, "expected a list of machines, or names with what they are")
    for node in nodes:
        if isinstance(node, Pairs):
            yield _row(node.line, {}, node, report)
        else:
            report.add(node.line, "expected a machine: keys like name, mac and address")
    seen: dict[str, int] = {}
    for key, node in named:
        if key.text in seen:
            report.add(key.line, f"{key.text!r} given twice (first on line {seen[key.text]})")
            continue
        seen[key.text] = key.line
        if isinstance(node, Pairs):
            yield _row(key.line, {"name": key.text}, node, report)
        else:
            report.add(key.line, f"expected keys like mac and address below {key.text!r}")


def _row(line: int, values: dict[str, Value], node: Pairs, report: Report) -> Row:
    lines: dict[str, int] = {}
    for key, child in node.pairs:
        name = key.text.strip().lower()
        if not LABEL.fullmatch(name):
            report.add(key.line, f"expected a key of letters, digits, '.', '-', got {key.text!r}")
        elif name in values:
            where = f"first on line {lines[name]}" if name in lines else "it is above"
            report.add(key.line, f"{name!r} given twice ({where})")
        elif (value := _value(name, child, report)) is not None:
            values[name], lines[name] = value, key.line
    return Row(line, values, lines)


def _value(name: str, node: Node, report: Report) -> Value | None:
    if isinstance(node, Pairs):
        report.add(node.line, f"{name}: expected a value, got keys; write them beside 'name'")
        return None
    if isinstance(node, Scalar):
        return _text(node, report)
    texts = [_text(item, report) for item in node.items if isinstance(item, Scalar)]
    if len(texts) < len(node.items):
        report.add(node.line, f"{name}: expected a list of values, got lists or keys in it")
    return tuple(filter(None, texts))


def _text(node: Scalar, report: Report) -> str:
    try:
        node.text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, by an escape
        report.add(node.line, f"expected characters, got {node.text!a}")
        return ""
    return node.text.strip()
