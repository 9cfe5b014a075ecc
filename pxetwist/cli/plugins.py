"""``pxetwist plugins [NAME]``: what can stand in an INI."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sized
from pathlib import Path

import attrs
from twisted.python import usage

from pxetwist.config.bind import did_you_mean
from pxetwist.config.fields import expects
from pxetwist.config.load import unusable
from pxetwist.config.sections import plugin_options
from pxetwist.errors import ConfigError, ConfigErrors, PxeError
from pxetwist.plugins import Provided, discover


class Options(usage.Options):
    """Options of the command."""

    synopsis = "[options] [NAME]"
    longdesc = "NAME may be a kind and a name, like service:tftp."
    optParameters = [["site-plugins", None, None, "A folder of plugins of your own."]]

    def parseArgs(self, name: str = "") -> None:
        """Take the name of a plugin."""
        self["name"] = name


def run(options: Options) -> int:
    """Print the list, or one plugin's options."""
    errors: list[ConfigError] = []
    folder = options["site-plugins"]
    catalogue = discover(errors, Path(folder).absolute() if folder else None)
    if errors:
        raise ConfigErrors(errors)
    everything = [catalogue.provided[key] for key in sorted(catalogue.provided)]
    wanted = options["name"]
    if not wanted:
        for each in everything:
            print(f"{each.kind + ':' + each.name:22} {_summary(each)}")
        return 0
    chosen = [each for each in everything if wanted in (each.name, f"{each.kind}:{each.name}")]
    if not chosen:
        hint = did_you_mean(wanted, [each.name for each in everything])
        raise PxeError(f"there is no plugin {wanted!r}{hint}")
    for each in chosen:
        print("\n".join(_described(each)))
    return 0


def _summary(provided: Provided) -> str:
    try:
        return str(provided.load().summary)
    except Exception as error:
        return f"cannot be used: {unusable(provided, error)}"


def _described(provided: Provided) -> Iterator[str]:
    try:
        settings = provided.load().settings()
    except Exception as error:
        raise PxeError(unusable(provided, error)) from error
    yield f"[{provided.kind}:{provided.name}]  {_summary(provided)}  (from {provided.source})"
    for name, field in plugin_options(provided.kind, settings).items():
        yield f"  {name} = {expects(field.metadata['convert'])} ({default_of(field)})"
        yield from textwrap.wrap(
            field.metadata["doc"], 80, initial_indent=6 * " ", subsequent_indent=6 * " "
        )
    yield ""


def default_of(field: attrs.Attribute[object]) -> str:
    """Say what holds if an option is left out."""
    default = field.default
    if default is attrs.NOTHING:
        return "must be given"
    empty = isinstance(default, Sized) and not default
    if default is None or empty or isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # its stub is a function
        return "may be left out"
    if isinstance(default, bool):
        return "default: yes" if default else "default: no"
    if isinstance(default, tuple):
        return "default: " + ", ".join(map(str, default))
    return f"default: {default}"
