"""From an INI to a `Configuration`: everything that can be known before anything is built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

import attrs

from pxetwist.boot.loaders import Loader
from pxetwist.config.bind import bind, bug, did_you_mean, options_of
from pxetwist.config.fields import OptionText
from pxetwist.config.ini import Ini, Option, Section
from pxetwist.config.networks import read_networks
from pxetwist.config.profiles import read_profiles
from pxetwist.config.sections import MountSettings, PxeSettings, read_loader
from pxetwist.config.subnets6 import read_networks6
from pxetwist.errors import ConfigError, ConfigErrors, Location
from pxetwist.interfaces import IPluginFactory
from pxetwist.model.client_class import ClientClass
from pxetwist.model.content import ContentPath
from pxetwist.model.lease import Network
from pxetwist.model.network6 import Network6
from pxetwist.model.nfs_root import own_root
from pxetwist.model.profile import BootProfile
from pxetwist.plugins import KINDS, Catalogue, Provided, discover

#: The options of ``[pxe]`` that name instances, and their kind.
LISTS = {
    "state": "state",
    "hosts": "hosts",
    "policies": "policy",
    "content": "content",
    "observers": "observer",
    "services": "service",
}
#: The options of ``[pxe]`` that name where more is; misspelt, what is there seems to be missing.
_ELSEWHERE = ("site-plugins", "include")
#: The kinds of sections that are no plugins.
OTHERS = ("subnet", "shared-network", "class", "subnet6", "profile", "loader")


@attrs.frozen
class Instance:
    """One plugin with its settings; `location` is its section, or the list that names it."""

    kind: str
    name: str
    factory: IPluginFactory
    settings: Any
    location: Location
    prefix: ContentPath | None = None  # of a content

    @property
    def title(self) -> str:
        """The section's title."""
        return f"{self.kind}:{self.name}"


@attrs.frozen
class Configuration:
    """Everything an INI says. `instances` are in the order of their lists, services last."""

    file: Path
    settings: PxeSettings
    networks: Mapping[str, Network]
    networks6: Mapping[str, Network6]
    profiles: Mapping[str, BootProfile]
    loaders: tuple[Loader, ...]
    instances: tuple[Instance, ...]
    classes: tuple[ClientClass, ...] = ()
    texts: Mapping[str, str] = attrs.field(factory=dict, repr=False)  # of its files, as read

    @property
    def folder(self) -> Path:
        """The folder of the INI, where relative paths start."""
        return self.file.absolute().parent

    @property
    def state_folder(self) -> Path:
        """Where the server may write."""
        return self.settings.state_folder or self.folder / "var"

    def of_kind(self, kind: str) -> list[Instance]:
        """Return the instances of a kind, in order."""
        return [instance for instance in self.instances if instance.kind == kind]


def load(file: Path, texts: Mapping[str, str] | None = None) -> Configuration:
    """Read an INI and all that it includes, and find its plugins. `texts` are those of the files
    if another process has read them.

    :raises ConfigErrors: with all mistakes, in the order of the files.
    """
    configuration, errors = read(file, texts)
    if errors or configuration is None:
        raise ConfigErrors(errors)
    return configuration


def read(
    file: Path, texts: Mapping[str, str] | None = None
) -> tuple[Configuration | None, list[ConfigError]]:
    """Return what an INI says beside its mistakes, and these, in the order of the files; `None`
    if it says nothing.
    """
    errors: list[ConfigError] = []
    ini = Ini(file, errors, texts)
    configuration = _configuration(file, ini, errors)
    return configuration, in_order(errors, ini.files)


def in_order(errors: Iterable[ConfigError], files: Iterable[str]) -> list[ConfigError]:
    """Sort mistakes by the order of the files; those in others come last."""
    order = {name: number for number, name in enumerate(files)}

    def place(error: ConfigError) -> tuple[int, int]:
        return order.get(error.location.file, len(order)), error.location.line

    return sorted(errors, key=place)


def _configuration(file: Path, ini: Ini, errors: list[ConfigError]) -> Configuration | None:
    if "pxe" not in ini.sections:
        if not errors:
            errors.append(ConfigError(Location(str(file)), "there is no section [pxe]"))
        return None
    _check_titles(ini, errors)
    pxe = ini.sections["pxe"]
    settings = bind(PxeSettings, pxe, errors)
    mistaken = settings is None
    settings = settings or _right_ones(pxe)
    networks = read_networks(
        _of_kind(ini, "subnet"), _of_kind(ini, "shared-network"), _of_kind(ini, "class"), errors
    )
    networks6 = read_networks6(_of_kind(ini, "subnet6"), errors)
    loaders = [read_loader(s, errors) for s in _of_kind(ini, "loader")]
    profiles = read_profiles(_of_kind(ini, "profile"), errors)
    named = pxe.options.get("site-plugins")
    catalogue = discover(errors, settings.site_plugins, named.location if named else pxe.location)
    unknown = set(pxe.options) - set(options_of(PxeSettings))
    if any(did_you_mean(name, _ELSEWHERE) for name in unknown):
        catalogue = attrs.evolve(catalogue, whole=False)
    instances = _Instances(ini, catalogue, errors).read(settings, all_sections=mistaken)
    _check_roots(ini, errors)
    return Configuration(
        file=file,
        settings=settings,
        networks=networks.networks,
        networks6=networks6,
        profiles=profiles,
        loaders=tuple(loader for loader in loaders if loader),
        instances=instances,
        classes=networks.classes,
        texts=ini.texts,
    )


def _right_ones(pxe: Section) -> PxeSettings:
    """Return what a mistaken ``[pxe]`` says beside its mistakes."""
    settings = PxeSettings(services=("",))  # which is nobody's name
    for option in pxe.options.values():
        if option.name not in options_of(PxeSettings):
            continue
        needed = {"services": Option("services", OptionText.of("none"), pxe.location)}
        alone = Section(pxe.title, pxe.location, {**needed, option.name: option})
        if (bound := bind(PxeSettings, alone, [])) is not None:
            field = options_of(PxeSettings)[option.name].name
            settings = attrs.evolve(settings, **{field: getattr(bound, field)})
    return settings


def _check_roots(ini: Ini, errors: list[ConfigError]) -> None:
    """Look for roots that cannot be read, and for those of exports that are not there."""
    exports = [section.name for section in _of_kind(ini, "export")]
    for section in _of_kind(ini, "profile"):
        value = section.options.get("root")
        if value is None:
            continue
        try:
            root = own_root(value.text)
        except ValueError as error:
            errors.append(section.error(str(error), "root"))
            continue
        if root is not None and root.export not in exports:
            hint = did_you_mean(root.export, exports)
            errors.append(section.error(f"there is no [export:{root.export}]{hint}", "root"))


def _of_kind(ini: Ini, kind: str) -> list[Section]:
    return [s for s in ini.sections.values() if s.kind == kind and s.name]


def _check_titles(ini: Ini, errors: list[ConfigError]) -> None:
    """Look for sections of no known kind, and for those without a name."""
    kinds = (*KINDS, *OTHERS)
    for section in ini.sections.values():
        if section.title == "pxe":
            continue
        if section.kind not in kinds:
            hint = did_you_mean(section.kind, kinds) or f" (known: pxe, {', '.join(kinds)})"
            message = f"there is no kind of section {section.kind!r}{hint}"
            errors.append(ConfigError(section.location, message))
        elif not section.name:
            message = f"section [{section.title}] needs a name: [{section.kind}:NAME]"
            errors.append(ConfigError(section.location, message))


class _Instances:
    """Finds section and plugin of each instance that ``[pxe]`` names."""

    def __init__(self, ini: Ini, catalogue: Catalogue, errors: list[ConfigError]) -> None:
        self._pxe = ini.sections["pxe"]
        self._sections = {kind: {s.name: s for s in _of_kind(ini, kind)} for kind in KINDS}
        self._catalogue = catalogue
        self._errors = errors
        self._used: set[str] = set()

    def read(self, settings: PxeSettings, *, all_sections: bool) -> tuple[Instance, ...]:
        """Return all instances, in order; with `all_sections` also those that no list names, for
        nobody knows what the lists were meant to be.
        """
        found: list[Instance | None] = []
        for option, kind in LISTS.items():
            names = getattr(settings, option)
            for name in filter(None, (names,) if isinstance(names, str) else names):
                found.append(self._instance(option, kind, name))
        found += [self._instance("", "export", name) for name in self._sections["export"]]
        for section in (s for sections in self._sections.values() for s in sections.values()):
            if section.title in self._used:
                continue
            if all_sections:
                found.append(self._instance("", section.kind, section.name))
            else:
                message = f"section [{section.title}] is never used"
                self._errors.append(ConfigError(section.location, message))
        return tuple(instance for instance in found if instance)

    def _instance(self, option: str, kind: str, name: str) -> Instance | None:
        section = self._sections[kind].get(name)
        listed = self._pxe.options.get(option)
        if section is None:
            location = listed.location if listed else self._pxe.location
            if self._catalogue.get(kind, name) is None:
                if self._catalogue.whole:
                    self._errors.append(ConfigError(location, self._unknown(option, kind, name)))
                return None
            section = Section(f"{kind}:{name}", location)
        if section.title in self._used:
            message = f"{option} names {name!r} twice"
            self._errors.append(ConfigError(section.location, message))
            return None
        self._used.add(section.title)
        plugin = section.options.get("plugin")
        provided = self._catalogue.get(kind, plugin.text if plugin else name)
        if provided is None and not self._catalogue.whole:
            return None  # it may be that of a module which cannot be imported
        if provided is None:
            self._errors.append(self._no_plugin(section, kind, plugin.text if plugin else ""))
            return None
        return self._bound(section, provided)

    def _unknown(self, option: str, kind: str, name: str) -> str:
        sections, plugins = self._sections[kind], self._catalogue.names(kind)
        hint = did_you_mean(name, [*sections, *plugins])
        for close in sections:
            if repr(close) in hint:
                self._used.add(f"{kind}:{close}")  # one mistake, one line
        if not hint:
            hint = f", but there is no section [{kind}:{name}] and no such plugin"
            hint += f" (known: {', '.join(plugins) or 'none'})"
        return f"{option} names {name!r}{hint}"

    def _no_plugin(self, section: Section, kind: str, plugin: str) -> ConfigError:
        known = self._catalogue.names(kind)
        if not plugin:
            return section.error(f"plugin is missing: one of {', '.join(known) or 'none'}")
        hint = did_you_mean(plugin, known) or f" (known: {', '.join(known) or 'none'})"
        return section.error(f"there is no {kind} plugin {plugin!r}{hint}", "plugin")

    def _bound(self, section: Section, provided: Provided) -> Instance | None:
        try:
            factory = provided.load()
            settings_class = factory.settings()
        except Exception as error:
            self._errors.append(section.error(unusable(provided, error)))
            return None
        shared = set(options_of(MountSettings)) if provided.kind == "content" else set()
        try:
            settings = bind(settings_class, section, self._errors, besides={"plugin", *shared})
        except Exception as error:
            message = f"plugin {provided.name!r}: its Settings: {bug(error)}"
            self._errors.append(section.error(message))
            return None
        mount = bind(MountSettings, section, self._errors, besides=set(section.options) - shared)
        if settings is None or mount is None:
            return None
        name, place = section.name, section.location
        return Instance(provided.kind, name, factory, settings, place, mount.prefix)


def unusable(provided: Provided, error: Exception) -> str:
    """Say why a plugin's code cannot be used, and what would mend it."""
    if isinstance(error, ModuleNotFoundError) and provided.name in _extras():
        return f"plugin {provided.name!r} needs: pip install 'pxetwist[{provided.name}]'"
    return f"plugin {provided.name!r} of {provided.source}: {type(error).__name__}: {error}"


def _extras() -> Iterable[str]:
    try:
        return metadata("pxetwist").get_all("Provides-Extra") or ()
    except PackageNotFoundError:
        return ()
