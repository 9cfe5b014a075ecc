"""How code becomes a plugin: a factory that names a module and imports it when it is needed.

The module holds a frozen attrs class ``Settings`` of :func:`pxetwist.config.fields.option`
fields and a function ``build(settings, site)``.

Factories come from three sources: dropins in ``twisted.plugins`` (the built-in ones too), the
site's own folder of plugins, and entry points in the groups ``pxetwist.hosts`` and so on.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import attrs
import twisted.plugins
from twisted.plugin import IPlugin, getCache
from zope.interface import implementer

from pxetwist.errors import ConfigError, Location
from pxetwist.interfaces import IPluginFactory, Site

#: The kinds of plugins, as the INI spells them, and the interface of what they build.
KINDS = {
    "hosts": "IHostDirectory",
    "policy": "IBootPolicy",
    "state": "ILeaseStore",
    "content": "IContentStore",
    "export": "IExport",
    "observer": "IBootObserver",
    "service": "IBootService",
}


@implementer(IPlugin, IPluginFactory)
@attrs.frozen
class PluginFactory:
    """A plugin by the dotted name of its module; nothing is imported before it is used."""

    kind: str
    name: str
    module: str
    summary: str = ""

    def settings(self) -> type:
        """Return the module's ``Settings``."""
        settings: type = import_module(self.module).Settings
        return settings

    def build(self, settings: Any, site: Site) -> object:
        """Call the module's ``build``."""
        return import_module(self.module).build(settings, site)


@attrs.frozen
class Provided:
    """A factory that somebody provides; an entry point is not imported before it is used.

    `load` raises whatever the import of foreign code raises.
    """

    kind: str
    name: str
    source: str
    load: Callable[[], IPluginFactory]


@attrs.frozen
class Catalogue:
    """All plugins that are there, by kind and name; not `whole` if some could not be imported."""

    provided: Mapping[tuple[str, str], Provided]
    whole: bool = True

    def get(self, kind: str, name: str) -> Provided | None:
        """Return a plugin, if there is one."""
        return self.provided.get((kind, name))

    def names(self, kind: str) -> list[str]:
        """Return the names of all plugins of a kind, sorted."""
        return sorted(name for each, name in self.provided if each == kind)


def discover(
    errors: list[ConfigError], site_plugins: Path | None = None, location: Location | None = None
) -> Catalogue:
    """Find all plugins; `location` is where the INI names the folder of the site's own."""
    location = location or Location("plugins")
    if site_plugins is not None and str(site_plugins) in twisted.plugins.__path__:
        twisted.plugins.__path__.remove(str(site_plugins))  # these we import ourselves
    found = [*_dropins(errors, location)]
    before = len(errors)
    if site_plugins is not None:
        found += _import_site_plugins(site_plugins, location, errors)
    whole = len(errors) == before
    provided: dict[tuple[str, str], Provided] = {}
    for each in (*found, *_entry_points()):
        first = provided.setdefault((each.kind, each.name), each)
        if first is not each:
            message = f"{each.kind} plugin {each.name!r} comes from {first.source}"
            errors.append(ConfigError(location, f"{message} and from {each.source}"))
    return Catalogue(provided, whole)


def _dropins(errors: list[ConfigError], location: Location) -> Iterator[Provided]:
    cache: Mapping[str, Any] = getCache(twisted.plugins)
    for dropin in cache.values():
        for plugin in dropin.plugins:
            try:
                factory = IPluginFactory(plugin, None)
            except Exception as error:
                message = f"{dropin.moduleName} cannot be imported: {error}"
                errors.append(ConfigError(location, message))
                continue
            if factory is not None:
                yield Provided(factory.kind, factory.name, dropin.moduleName, _constant(factory))


def _constant(factory: IPluginFactory) -> Callable[[], IPluginFactory]:
    return lambda: factory


def _entry_points() -> Iterator[Provided]:
    all_points = entry_points()  # reads what is installed: it takes its time
    for kind in KINDS:
        for point in all_points.select(group=f"pxetwist.{kind}"):
            source = f"distribution {point.dist.name}" if point.dist else point.value
            yield Provided(kind, point.name, source, _loader(point))


def _loader(point: EntryPoint) -> Callable[[], IPluginFactory]:
    def load() -> IPluginFactory:
        factory = point.load()
        if not IPluginFactory.providedBy(factory):
            raise TypeError(f"{point.value} is no plugin factory")
        return IPluginFactory(factory)

    return load


def _import_site_plugins(
    folder: Path, location: Location, errors: list[ConfigError]
) -> list[Provided]:
    """Import the site's own plugins: Twisted would merely log those that cannot be."""
    if not folder.is_dir():
        errors.append(ConfigError(location, f"[pxe] site-plugins: there is no folder {folder}"))
        return []
    files = sorted(folder.glob("*.py"))
    untrusted = [found for found in (folder, *files) if not _trusted(found)]
    for found in untrusted:
        message = f"[pxe] site-plugins: others may write {found}; mend: chmod go-w {found}"
        errors.append(ConfigError(location, f"{message}, owned by root or the server's user"))
    if untrusted:
        return []
    twisted.plugins.__path__.append(str(folder))
    return [each for file in files for each in _import_site_plugin(file, errors)]


def _trusted(path: Path) -> bool:
    status = path.stat()
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022


def _import_site_plugin(file: Path, errors: list[ConfigError]) -> Iterator[Provided]:
    """Yield the plugins of one file."""
    try:
        module = import_module(f"twisted.plugins.{file.stem}")
    except SyntaxError as error:
        errors.append(
            ConfigError(Location(error.filename or str(file), error.lineno or 0), str(error.msg))
        )
        return
    except Exception as error:
        errors.append(ConfigError(place_of(error, file), f"{type(error).__name__}: {error}"))
        return
    if module.__file__ != str(file):
        message = f"there is another plugin module of this name: {module.__file__}"
        errors.append(ConfigError(Location(str(file)), message))
        return
    for name, factory in vars(module).items():
        if not IPluginFactory.providedBy(factory):
            continue
        if factory.kind not in KINDS:
            message = f"{name}: expected a kind of {', '.join(KINDS)}, got {factory.kind!r}"
            errors.append(ConfigError(Location(str(file)), message))
            continue
        yield Provided(factory.kind, factory.name, module.__name__, _constant(factory))


def place_of(error: Exception, file: Path) -> Location:
    """Return the last line of a file that an exception went through."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno or 0 for frame in frames if frame.filename == str(file)]
    return Location(str(file), lines[-1] if lines else 0)
