"""Imports go down only; see docs for the layers. Read with `ast`, so nothing is imported."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import pxetwist

ROOT = Path(pxetwist.__file__).parent

#: What a plugin sees of pxetwist, besides its own package.
_FOR_PLUGINS = (
    "model",
    "interfaces",
    "errors",
    "config.fields",
    "wire.iana",
    "webclient",
    "threads",
)
#: What a feature stores: used by its policy, its directory and its commands.
_STORES = ("state.orders", "state.discovered", "state.database", "state.pooled", "state.postgres")

#: What each part may import of pxetwist, besides itself. Parts that are missing may all.
ALLOWED: dict[str, tuple[str, ...]] = {
    "errors": (),
    "wire": ("errors",),
    "model": ("wire.iana", "errors"),
    "exchange": ("wire", "model", "errors", "file_tree"),
    "file_tree": ("model", "errors"),
    "interfaces": ("model", "errors", "file_tree"),
    "config.fields": ("model", "errors", "wire.iana"),
    "webclient": ("config.fields",),
    "threads": (),
    "hosts": (*_FOR_PLUGINS, *_STORES),
    "policies": (*_FOR_PLUGINS, *_STORES),
    "state": _FOR_PLUGINS,
    "content": (*_FOR_PLUGINS, "file_tree"),
    "exports": (
        *_FOR_PLUGINS,
        *("file_tree", "content.iso_index", "content.answers"),
    ),
    "observers": _FOR_PLUGINS,
    "boot": ("model", "interfaces", "errors", "wire.iana", "file_tree"),
    "services": (
        *("wire", "model", "exchange", "interfaces", "errors", "boot", "config.fields"),
        "file_tree",
    ),
    "pki": ("errors", "services.http.certificates", "services.http.https"),
}
#: Parts that know nothing but the standard library and attrs: no Twisted.
PURE = ("errors", "wire", "model", "exchange")
#: Names of what reads a clock, in `time` and in the classes of `datetime`.
CLOCKS = ("time", "monotonic", "now", "utcnow", "today")


def part_of(file: Path) -> str:
    """Return the longest known part that a file belongs to, or its module's name."""
    module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    parts = [part for part in ALLOWED if is_in(module, (part,))]
    return max(parts, key=len, default=module)


def is_in(module: str, parts: tuple[str, ...]) -> bool:
    return any(module == part or module.startswith(f"{part}.") for part in parts)


def imports(source: str) -> Iterator[str]:
    """Yield the full name of everything that is imported, wherever in the text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "absolute imports only"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def attributes(source: str) -> Iterator[str]:
    """Yield every name behind a dot that is called."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr


def allows(part: str, name: str) -> bool:
    """Whether a part may import this."""
    top, _, rest = name.partition(".")
    if top == "pxetwist":
        return part not in ALLOWED or is_in(rest, (*ALLOWED[part], part))
    if part in PURE and top != "attrs" and top not in sys.stdlib_module_names:
        return False
    if part == "exchange" and top == "time":
        return False
    return part == "tap" or not is_in(name, ("twisted.internet.reactor",))


def offences(part: str, source: str) -> list[str]:
    """Return what a part imports or reads and must not."""
    found = [name for name in imports(source) if not allows(part, name)]
    if part == "exchange":
        found += [f"the clock ({name})" for name in attributes(source) if name in CLOCKS]
    return found


class Layers(SynchronousTestCase):
    def test_imports_go_down_only(self) -> None:
        files = sorted(ROOT.rglob("*.py"))
        self.assertGreater(len(files), 30)
        found = [
            f"{file.relative_to(ROOT)} imports {name}"
            for file in files
            for name in offences(part_of(file), file.read_text())
        ]
        self.assertEqual(found, [])

    def test_protocols_know_nothing_of_each_other(self) -> None:
        services = ROOT / "services"
        packages = [each.parent for each in services.glob("*/__init__.py")]
        self.assertGreater(len(packages), 5)
        for file in services.rglob("*.py"):
            others = tuple(f"pxetwist.services.{p.name}" for p in packages if p != file.parent)
            known = [name for name in imports(file.read_text()) if is_in(name, others)]
            self.assertEqual(known, [], str(file))

    def test_each_offence_is_seen(self) -> None:
        for part, source in {
            "wire": "import twisted",
            "model": "from pxetwist.wire import dhcp4",
            "exchange": "def f():\n    return datetime.now()",
            "hosts": "from pxetwist.wire.dhcp4 import decode",
            "policies": "from pxetwist.hosts import static",
            "boot": "import pxetwist.services.dhcp.service",
            "services": "from pxetwist.config.load import load",
            "config.load": "from twisted.internet import reactor",
        }.items():
            self.assertEqual(len(offences(part, source)), 1, part)
