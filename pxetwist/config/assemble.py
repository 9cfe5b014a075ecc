"""From a :class:`Configuration` to a server: builds the plugins and joins them."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import IService
from twisted.logger import Logger
from zope.interface import Invalid
from zope.interface.verify import verifyObject

from pxetwist import interfaces
from pxetwist.boot.facade import BootFacade
from pxetwist.boot.mounts import Mounted
from pxetwist.boot.resolver import Identification
from pxetwist.config.answers import answers_in_the_clear
from pxetwist.config.load import Configuration, Instance
from pxetwist.config.server import Server
from pxetwist.config.web import http_port, https_ports, nfs_options, takes_logs
from pxetwist.errors import ConfigError, ConfigErrors, Location
from pxetwist.interfaces import IReloads, Site
from pxetwist.plugins import KINDS
from pxetwist.services.guarded_leases import GuardedLeases
from pxetwist.state.redemptions import Redemptions


@attrs.frozen
class Assembly:
    """Everything that was built: `root` to be started, `boot` to be asked, the instances."""

    configuration: Configuration
    root: Server
    boot: BootFacade
    built: tuple[tuple[Instance, Any], ...]

    def of_kind(self, kind: str) -> list[tuple[str, Any]]:
        """Return name and object of each instance of a kind, in the order of the INI."""
        return [(each.name, thing) for each, thing in self.built if each.kind == kind]


def assemble(configuration: Configuration, reactor: Any) -> Assembly:
    """Build every instance; nothing is opened or started.

    :raises ConfigErrors: with the mistakes of all instances.
    """
    boot = BootFacade(
        reactor,
        loaders=configuration.loaders,
        networks=configuration.networks,
        state_folder=configuration.state_folder,
        http_port=http_port(configuration),
        https=https_ports(configuration),
        identification=Identification(
            configuration.settings.merge_hosts, configuration.settings.shared_macs
        ),
    )
    profiles = configuration.profiles.values()
    errors: list[ConfigError] = list(answers_in_the_clear(profiles, boot.https))
    built: list[tuple[Instance, Any]] = []
    for instance in configuration.instances:
        site = _site(instance, configuration, boot, reactor)
        try:
            built.append((instance, _build(instance, site)))
        except ConfigError as error:
            errors.append(_titled(error, instance))
        except ConfigErrors as several:
            errors += [_titled(error, instance) for error in several.errors]
    if errors:
        raise ConfigErrors(errors)
    assembly = Assembly(configuration, Server(reactor), boot, tuple(built))
    _join(assembly, reactor)
    return assembly


def _site(
    instance: Instance, configuration: Configuration, boot: BootFacade, reactor: Any
) -> Site:
    return Site(
        name=instance.name,
        reactor=reactor,
        log=Logger(namespace=instance.title),
        folder=configuration.folder,
        state_folder=configuration.state_folder,
        boot=boot,
        profiles=configuration.profiles,
        networks=configuration.networks,
        networks6=configuration.networks6,
        classes=configuration.classes,
        http_port=boot.http_port,
        https=boot.https.port is not None or boot.https.certified is not None,
        log_server=takes_logs(configuration),
        exports={each.name: each.factory.name for each in configuration.of_kind("export")},
        nfs_options=nfs_options(configuration),
    )


def _build(instance: Instance, site: Site) -> object:
    """Build one instance and hold it against the interface of its kind."""

    def error(message: str) -> ConfigError:
        return ConfigError(instance.location, f"[{instance.title}] {message}")

    try:
        thing = instance.factory.build(instance.settings, site)
    except (ConfigError, ConfigErrors):
        raise
    except Exception as problem:
        last = traceback.extract_tb(problem.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        raise error(f"{type(problem).__name__}: {problem} ({place})") from problem
    try:
        verifyObject(getattr(interfaces, KINDS[instance.kind]), thing)
    except Invalid as problem:
        raise error(f"plugin {instance.factory.name!r}: {problem}") from problem
    return thing


def _titled(error: ConfigError, instance: Instance) -> ConfigError:
    """Let each message begin with its section."""
    title = f"[{instance.title}] "
    return ConfigError(error.location, title + error.message.removeprefix(title))


def _join(assembly: Assembly, reactor: Any) -> None:
    stores = assembly.of_kind("state")
    redemptions = Redemptions(assembly.configuration.state_folder, reactor)
    assembly.root.add(redemptions, "pxe", Location(str(assembly.configuration.file)))
    assembly.boot.attach(
        hosts=assembly.of_kind("hosts"),
        policies=assembly.of_kind("policy"),
        content=[
            (each.name, Mounted(store, each.prefix) if each.prefix else store)
            for each, store in assembly.built
            if each.kind == "content"
        ],
        observers=assembly.of_kind("observer"),
        leases=GuardedLeases(stores[0][1], assembly.boot, reactor),
        redemptions=redemptions,
        exports=dict(assembly.of_kind("export")),
    )
    for instance, thing in assembly.built:
        if IService.providedBy(thing):
            assembly.root.add(thing, instance.title, instance.location)
    assembly.root.reloads = [
        *((i.title, thing.reload) for i, thing in assembly.built if IReloads.providedBy(thing)),
        ("boot", assembly.boot.reload),
    ]
