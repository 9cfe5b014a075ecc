"""Writes the reference of the INI, one page per section and plugin, from the settings classes.

``conf.py`` calls :func:`write`; by hand: ``python docs/generate_reference.py FOLDER``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from pxetwist.cli.plugins import default_of
from pxetwist.config.bind import options_of
from pxetwist.config.fields import Keyed, expects
from pxetwist.config.profile_settings import ProfileSettings
from pxetwist.config.sections import LoaderSettings, PxeSettings, plugin_options
from pxetwist.config.subnets import ClassSettings, SharedNetworkSettings, SubnetSettings
from pxetwist.config.subnets6 import Subnet6Settings
from pxetwist.errors import ConfigError, ConfigErrors
from pxetwist.plugins import Provided, discover
from pxetwist.wire import shapes, structures
from pxetwist.wire.option_text import SERVERS_OWN
from pxetwist.wire.options import OPTIONS

#: The sections that are no plugins: page, title in the INI, settings, what they are.
SECTIONS = (
    ("pxe", "[pxe]", PxeSettings, "What the server is made of."),
    ("subnet", "[subnet:NAME]", SubnetSettings, "One IP network, and what its clients are told."),
    (
        "shared-network",
        "[shared-network:NAME]",
        SharedNetworkSettings,
        "One wire with several networks, and what they say together.",
    ),
    ("class", "[class:NAME]", ClassSettings, "Some clients, and what they are told."),
    ("subnet6", "[subnet6:NAME]", Subnet6Settings, "One IPv6 network."),
    ("profile", "[profile:NAME]", ProfileSettings, "One thing that a machine may boot."),
    ("loader", "[loader:NAME]", LoaderSettings, "A boot loader of your own."),
)
#: How values of DHCP options are written.
_SHAPES = (
    (shapes.ADDRESS, "an address"),
    (shapes.ADDRESSES, "addresses"),
    (shapes.ADDRESS_PAIRS, "pairs of addresses"),
    (shapes.U8, "a number from 0 to 255"),
    (shapes.U16, "a number from 0 to 65535"),
    (shapes.U32, "a number from 0 to 4294967295"),
    (shapes.S32, "a number, also below 0"),
    (shapes.U8_LIST, "numbers from 0 to 255"),
    (shapes.U16_LIST, "numbers from 0 to 65535"),
    (shapes.TEXT, "text"),
    (shapes.SWITCH, "yes or no"),
    (shapes.FLAG, "yes"),
    (shapes.OCTETS, "bytes: ``hex:0a0b`` or ``0a:0b``"),
    (shapes.NODE_TYPE, "``b-node``, ``p-node``, ``m-node`` or ``h-node``"),
    (shapes.ARCHITECTURES, "numbers from 0 to 65535"),
    (structures.NAMES, "domain names"),
    (structures.SERVERS, "domain names, or addresses"),
    (structures.ROUTES, "routes: ``10.1.0.0/16 via 10.0.0.1``"),
    (structures.ENCAPSULATED, "sub-options: ``option.175.NUMBER``, or bytes"),
    (structures.ENTERPRISES, "by enterprise: ``option.125.ENTERPRISE.NUMBER``, or bytes"),
)
#: Where plugins are named.
LISTED_IN = {
    "hosts": "hosts",
    "policy": "policies",
    "state": "state",
    "content": "content",
    "observer": "observers",
    "service": "services",
}
#: The source by which our own plugins are told from others.
OURS = "twisted.plugins.pxetwist_dropin"


def write(folder: Path) -> None:
    """Write all pages and an index of them into a folder; what stood there before is removed.

    :raises ConfigErrors: if two plugins have the same name.
    """
    errors: list[ConfigError] = []
    catalogue = discover(errors)
    if errors:
        raise ConfigErrors(errors)
    ours = [p for _, p in sorted(catalogue.provided.items()) if p.source == OURS]
    folder.mkdir(parents=True, exist_ok=True)
    for page in folder.glob("*.rst"):
        page.unlink()
    for name, title, settings, summary in SECTIONS:
        _save(folder, name, _page(title, summary, options_of(settings), [title]))
    _save(folder, "dhcp-options", _option_codes())
    for plugin in ours:
        _save(folder, f"{plugin.kind}-{plugin.name}", _plugin_page(plugin))
    _save(folder, "index", _index(ours))


def _option_codes() -> Iterator[str]:
    """Yield a table of all DHCP options that have a name."""
    yield from _heading("DHCP options")
    yield from ["``option.NAME`` and ``option.NUMBER`` mean the same; see :doc:`../dhcp`.", ""]
    yield from [".. list-table::", "   :header-rows: 1", "   :widths: 12 44 44", ""]
    yield from ["   * - Number", "     - Name", "     - Value"]
    for code, (name, shape) in OPTIONS.items():
        if code in SERVERS_OWN:
            continue
        what = next(words for each, words in _SHAPES if each is shape)
        yield from [f"   * - {code}", f"     - ``{name}``", f"     - {what}"]


def _save(folder: Path, name: str, lines: Iterable[str]) -> None:
    (folder / f"{name}.rst").write_text("\n".join(lines) + "\n", "utf-8")


def _heading(text: str) -> list[str]:
    return [text, "=" * len(text), ""]


def _plugin_page(plugin: Provided) -> Iterator[str]:
    factory = plugin.load()
    name = f"{plugin.kind}:{plugin.name}"
    listed = LISTED_IN.get(plugin.kind)
    named = f"``{listed}`` of ``[pxe]``" if listed else "``root`` of a profile"
    summary = f"{factory.summary} Named by {named}."
    example = [f"[{plugin.kind}:NAME]", f"plugin = {plugin.name}"]
    options = plugin_options(plugin.kind, factory.settings())
    yield from _page(name, summary, options, example)


def _page(
    title: str, summary: str, options: Mapping[str, attrs.Attribute[Any]], example: list[str]
) -> Iterator[str]:
    needed = [name for name, field in options.items() if field.default is attrs.NOTHING]
    yield from _heading(title)
    yield from [summary, "", ".. code-block:: ini", ""]
    yield from (f"   {line}" for line in (*example, *(f"{name} = …" for name in needed)))
    yield ""
    if not options:
        yield "It has no options."
    for name, field in options.items():
        yield from _option(name, field)


def _option(name: str, field: attrs.Attribute[object]) -> Iterator[str]:
    convert = field.metadata["convert"]
    if isinstance(convert, Keyed) and convert.prefix:
        name += ".…"
    yield f"``{name}``"
    yield f"   {escaped(field.metadata['doc'])}"
    yield ""
    yield f"   *{escaped(expects(convert))}*; {escaped(default_of(field))}"
    yield ""


def _index(plugins: list[Provided]) -> Iterator[str]:
    yield from _heading("Reference of the INI")
    yield "The same text as ``pxetwist plugins`` prints, made from the code that reads the INI."
    yield from ["", ".. toctree::", "   :maxdepth: 1", ""]
    yield from (f"   {name}" for name, *_ in SECTIONS)
    yield "   dhcp-options"
    yield from (f"   {plugin.kind}-{plugin.name}" for plugin in plugins)


def escaped(text: str) -> str:
    """Return text that reStructuredText takes as it stands; backticks make it code."""
    parts = re.split(r"(`+[^`]+`+)", " ".join(text.split()))
    return "".join(
        f"``{part.strip('`')}``" if part.startswith("`") else re.sub(r"([*_|\\])", r"\\\1", part)
        for part in parts
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]))
