"""From a :class:`Configuration` to a server: builds the plugins and joins them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from inspect import iscoroutine
from typing import Any

import attrs
from twisted.application.service import IService
from twisted.logger import Logger
from zope.interface import Invalid, providedBy
from zope.interface.verify import verifyObject

from pxetwist import interfaces
from pxetwist.boot.facade import BootFacade
from pxetwist.boot.mounts import Mounted
from pxetwist.boot.resolver import Identification
from pxetwist.boot.sightings import Sightings
from pxetwist.config.answers import answers_in_the_clear
from pxetwist.config.bind import bug
from pxetwist.config.load import Configuration, Instance, in_order
from pxetwist.config.server import Server
from pxetwist.config.web import http_port, https_ports, nfs_options, takes_logs
from pxetwist.config.workers import board_of, has_part, make_workers, mistakes, sightings_on
from pxetwist.errors import ConfigError, ConfigErrors, Location
from pxetwist.interfaces import IReloads, ISharesLeases, Site
from pxetwist.plugins import KINDS
from pxetwist.services.dhcp.guarded_leases import GuardedLeases
from pxetwist.services.workers.duty import Duty
from pxetwist.services.workers.feed import EventFeed, feed
from pxetwist.services.workers.processes import Workers
from pxetwist.state.board import Board
from pxetwist.state.redemptions import Redemptions

#: Mistakes that leave policies what they name: profiles, networks, directories and exports.
_APART = ("[pxe] unknown option", "[service:", "[content:", "[observer:", "[policy:", "[loader:")


@attrs.frozen
class Assembly:
    """Everything that was built: `root` to be started, `boot` to be asked, the instances."""

    configuration: Configuration
    root: Server
    boot: BootFacade
    built: tuple[tuple[Instance, Any], ...]
    duty: Duty | None = None
    workers: Workers | None = None

    @property
    def gives_leases(self) -> bool:
        """Whether this process does; workers read them only."""
        return self.duty is None

    def starts(self, instance: Instance) -> bool:
        """Whether this process starts an instance: leases and exports are the server's, what it
        shares is the workers'.
        """
        if self.duty is not None:
            return instance.kind not in ("state", "export")
        return not self.served_elsewhere(instance)

    def served_elsewhere(self, instance: Instance) -> bool:
        """Whether workers run this instance, and this process does not."""
        workers = self.workers
        return (
            workers is not None
            and instance.kind == "service"
            and instance.name in workers.services
        )

    def listening(self, instance: Instance, service: Any) -> Sequence[Any]:
        """Return the addresses of a service, whichever process runs it."""
        if self.workers is not None and self.served_elsewhere(instance):
            return self.workers.listening(instance.name)
        addresses: Sequence[Any] = service.listening()
        return addresses

    def of_kind(self, kind: str) -> list[tuple[str, Any]]:
        """Return name and object of each instance of a kind, in the order of the INI."""
        return [(each.name, thing) for each, thing in self.built if each.kind == kind]


def assemble(configuration: Configuration, reactor: Any, duty: Duty | None = None) -> Assembly:
    """Build every instance, or with a `duty` those of a worker; nothing is opened or started.

    :raises ConfigErrors: with the mistakes of all instances.
    """
    board = board_of(configuration, duty)
    boot = _facade(configuration, reactor, sightings_on(board, duty))
    profiles = configuration.profiles.values()
    errors: list[ConfigError] = list(answers_in_the_clear(profiles, boot.https))
    sites = [
        (instance, _site(instance, configuration, boot, reactor))
        for instance in configuration.instances
        if has_part(instance, duty)
    ]
    if duty is not None:
        number, sockets = duty.number, duty.sockets()
        sites = [
            (instance, attrs.evolve(site, worker=number, inherited=sockets))
            for instance, site in sites
        ]
    built = tuple(_built(sites, errors))
    errors += mistakes(configuration, built) if duty is None else []
    if errors:
        raise ConfigErrors(errors)
    assembly = Assembly(configuration, Server(reactor), boot, built, duty)
    if board is not None and duty is None:
        assembly = attrs.evolve(assembly, workers=make_workers(assembly, board, reactor))
    _join(assembly, board, reactor)
    return assembly


def also_mistaken(
    configuration: Configuration | None, errors: list[ConfigError], reactor: Any
) -> list[ConfigError]:
    """Return the mistakes of an INI with those in its files of machines and in its rules, as far
    as these do not come from others.
    """
    if configuration is None:
        return errors
    kinds = ["hosts"]
    if all(
        error.message.startswith(_APART) and "did you mean 'include'" not in error.message
        for error in errors
    ):
        kinds.append("policy")
    boot = _facade(configuration, reactor)
    found = list(errors)
    sites = [
        (instance, _site(instance, configuration, boot, reactor))
        for instance in configuration.instances
        if instance.kind in kinds
    ]
    list(_built(sites, found))
    return in_order(found, configuration.texts)


def _facade(
    configuration: Configuration, reactor: Any, sightings: Sightings | None = None
) -> BootFacade:
    return BootFacade(
        reactor,
        sightings=sightings,
        loaders=configuration.loaders,
        networks=configuration.networks,
        state_folder=configuration.state_folder,
        http_port=http_port(configuration),
        https=https_ports(configuration),
        address=configuration.settings.boot_address,
        identification=Identification(
            configuration.settings.merge_hosts, configuration.settings.shared_macs
        ),
    )


def _site(
    instance: Instance,
    configuration: Configuration,
    boot: BootFacade,
    reactor: Any,
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
        directories=[each.name for each in configuration.of_kind("hosts")],
    )


def _built(
    sites: Iterable[tuple[Instance, Site]], errors: list[ConfigError]
) -> Iterator[tuple[Instance, Any]]:
    """Yield each instance with what was built of it."""
    for instance, site in sites:
        try:
            yield instance, _build(instance, site)
        except ConfigError as error:
            errors.append(_titled(error, instance))
        except ConfigErrors as several:
            errors += [_titled(error, instance) for error in several.errors]


def _build(instance: Instance, site: Site) -> object:
    """Build one instance and hold it against the interface of its kind."""

    def error(message: str) -> ConfigError:
        return ConfigError(instance.location, f"[{instance.title}] {message}")

    factory = instance.factory
    module = getattr(factory, "module", "")
    try:
        thing = factory.build(instance.settings, site)
    except (ConfigError, ConfigErrors):
        raise
    except Exception as problem:
        raise error(bug(problem, module)) from problem
    if thing is None or iscoroutine(thing):
        what = "nothing"
        if thing is not None:
            thing.close()
            what = "a coroutine: it must not be async"
        raise error(f"plugin {factory.name!r}: build returns {what}")
    also = [each for each in providedBy(thing) if each.__module__.startswith("pxetwist.")]
    try:
        for interface in dict.fromkeys([getattr(interfaces, KINDS[instance.kind]), *also]):
            verifyObject(interface, thing)
    except Invalid as problem:
        raise error(f"plugin {factory.name!r}: {problem}") from problem
    return thing


def _titled(error: ConfigError, instance: Instance) -> ConfigError:
    """Let each message begin with its section; one without a line gets that of the section."""
    title = "" if error.message.startswith("[") else f"[{instance.title}] "
    place, message = error.location, error.message.removeprefix(title)
    if not place.line:
        message = f"{place}: {message}" if place.file else message
        place = instance.location
    return ConfigError(place, title + message)


def _join(assembly: Assembly, board: Board | None, reactor: Any) -> None:
    configuration, duty, root = assembly.configuration, assembly.duty, assembly.root
    ours = Location(str(configuration.file))
    if board is not None:
        root.add(board, "pxe", ours)
    redemptions = Redemptions(configuration.state_folder, reactor, duty.number if duty else 0)
    root.add(redemptions, "pxe", ours)
    [(_, store)] = assembly.of_kind("state")
    leases: Any = GuardedLeases(store, assembly.boot, reactor)
    observers = assembly.of_kind("observer")
    if duty is not None:
        leases = ISharesLeases(store).reader()
        observers = [("workers", EventFeed(feed()))]
        root.add(leases, "pxe", ours)
    assembly.boot.attach(
        hosts=assembly.of_kind("hosts"),
        policies=assembly.of_kind("policy"),
        content=[
            (each.name, Mounted(store, each.prefix) if each.prefix else store)
            for each, store in assembly.built
            if each.kind == "content"
        ],
        observers=observers,
        leases=leases,
        redemptions=redemptions,
        exports=dict(assembly.of_kind("export")),
    )
    for instance, thing in assembly.built:
        if IService.providedBy(thing) and assembly.starts(instance):
            root.add(thing, instance.title, instance.location)
    root.reloads = [
        *((i.title, thing.reload) for i, thing in assembly.built if IReloads.providedBy(thing)),
        ("boot", assembly.boot.reload),
    ]
    if assembly.workers is not None:
        root.add(assembly.workers, "pxe", ours)
        root.reloads = [*root.reloads, ("workers", assembly.workers.reload)]
