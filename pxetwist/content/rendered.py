"""Texts made from a plan: the iPXE script, GRUB's and PXELINUX's configuration.

Whoever asks gets its own text and nobody else's: the name says which loader asks, the request
says which machine. A site may replace any template by one of the same name in its own folder.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import attrs
import jinja2
from zope.interface import implementer

from pxetwist.config.fields import option, path
from pxetwist.content import answers, installers, san
from pxetwist.content.context import Compiled, QuickContext
from pxetwist.content.loader_texts import LoaderTexts
from pxetwist.content.logins import Logins
from pxetwist.content.rendered_texts import RenderedTexts
from pxetwist.content.spelling import grub_quote, grub_words, ipxe_text, one_line
from pxetwist.content.startable import lacks_text, startable
from pxetwist.content.text import TextContent
from pxetwist.content.text_names import COMMAND_LINE, NAMED, flavour_of, is_locked
from pxetwist.content.versions import Versions
from pxetwist.errors import ConfigError, ContentNotFound, Location, PolicyError
from pxetwist.interfaces import IContent, IContentStore, INamesDisks, IRepeats, Site
from pxetwist.model.boot import BootRequest
from pxetwist.model.boots import Iscsi, Menu, RaspberryPi, SanDisk
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import parse_mac
from pxetwist.model.installers import Windows

_LOADERS = (
    "boot.ipxe.j2",
    "stopped.ipxe.j2",
    "discover.ipxe.j2",
    "grub.cfg.j2",
    "pxelinux.cfg.j2",
    *installers.TEMPLATES,
)
_TEMPLATES = {"ipxe": "boot.ipxe.j2", "grub": "grub.cfg.j2", "pxelinux": "pxelinux.cfg.j2"}
TEMPLATES = (*_LOADERS, *answers.TEMPLATES)
_COMPILED = Compiled()


@attrs.frozen
class Settings:
    """Options of a ``rendered`` store."""

    templates: Path | None = option(
        path,
        default=None,
        doc="A folder with the site's own templates; those it lacks are the built-in ones."
        " Names: " + ", ".join(TEMPLATES) + ".",
    )


@implementer(IContentStore, INamesDisks, IRepeats)
class RenderedStore:
    """Makes the text that a loader asks for, at the moment it asks."""

    def __init__(
        self, site: Site, environment: jinja2.Environment, rendered: RenderedTexts
    ) -> None:
        self._site = site
        self._environment = environment
        self._rendered = rendered
        self._logins = Logins(site)
        self._versions = Versions(site)
        self._answers = answers.AnswerTexts(site, environment)
        self._texts = LoaderTexts(site, environment, rendered, self._answers)

    async def open(self, path: ContentPath, request: BootRequest) -> IContent:
        """Render for the machine that asks; anything else is not found here."""
        now = self._site.reactor.seconds()
        if request.granted:
            text = self._texts.installers.granted(path.name, request)
            if text is None:
                text = self._answers.render(path.name, request, self._texts.facts(request))
            return TextContent(text, now)
        flavour = flavour_of(path)
        if not flavour or path.parts[0] == installers.FOLDER:
            text = await self._texts.installers.text(path, request)
            if text is not None:
                return TextContent(text, now)
        if not flavour:
            return TextContent(self._command_line(path, request), now)
        locked = is_locked(path)
        if locked:
            request = await self._unlocked(path, request)
        elif flavour != "ipxe":
            request = await self._for_named(path, request)
        if request.plan is None:
            raise ContentNotFound(f"{path}: no plan for {request.identity}")
        request = await self._site.boot.begin(request)
        assert request.plan is not None
        plan = self._versions.pin(request.plan, request)
        plan = await startable(plan, flavour, request, self._site.boot)
        if plan is not request.plan:
            request = attrs.evolve(request, plan=plan)
        folders = {}
        for each in plan.answers:
            folders[each.profile] = await self._answers.folder(each, request)
        name = self._template_of(flavour, request, now)
        if folders or self._environment.auto_reload or locked:
            return TextContent(self._texts.render(name, request, folders), now)
        kept = self._rendered.get(name, request)
        return kept or self._rendered.make(
            name, request, now, partial(self._texts.render, name, request)
        )

    def lasts(self, path: ContentPath, content: IContent, request: BootRequest) -> bool:
        """Whether it is the text that is kept for this request, on the way to which nothing is
        looked for: neither files for a menu or Windows, nor what is current.
        """
        flavour, plan = flavour_of(path), request.plan
        if not flavour or plan is None or isinstance(plan.boot, Menu | Windows):
            return False
        kept = self._rendered.get(_TEMPLATES[flavour], request)
        return kept is content and not self._versions.moves(plan.boot)

    def _command_line(self, path: ContentPath, request: BootRequest) -> str:
        """Return what the kernel of a Raspberry Pi is told, if that is asked for.

        :raises ContentNotFound: if it is not, or the file of the boot partition says it.
        :raises PolicyError: if a template in it is wrong.
        """
        boot = request.plan.boot if request.plan else None
        if not isinstance(boot, RaspberryPi) or str(path) != f"{boot.folder}/{COMMAND_LINE}":
            raise ContentNotFound(str(path))
        if not boot.arguments:
            raise ContentNotFound(f"{path}: the profile has no arguments")
        facts = {**self._texts.facts(request), "root": boot.root}
        try:
            text = self._texts.fill(boot.arguments, facts)
        except jinja2.TemplateError as error:
            raise PolicyError(f"arguments for {facts['who']}: {error}") from error
        return " ".join(text.split()) + "\n"

    def disk(self, request: BootRequest) -> SanDisk | None:
        """Return the iSCSI disk of a resolved request; `None`: its plan has none.

        :raises PolicyError: if the profile makes no names of it.
        """
        boot = request.plan.boot if request.plan else None
        if not isinstance(boot, Iscsi):
            return None
        facts = self._texts.facts(request)
        try:
            return san.disk(lambda text: self._texts.fill(text, facts), boot)
        except jinja2.TemplateError as error:
            raise PolicyError(f"the disk of {facts['who']}: {error}") from error

    async def _unlocked(self, path: ContentPath, request: BootRequest) -> BootRequest:
        """Return the request with the plan of one entry of its menu, if the login opens it.

        :raises LoginNeeded: if it does not.
        """
        menu = request.plan.boot if request.plan else None
        name = path.name.removesuffix(".ipxe")
        entries = menu.entries if isinstance(menu, Menu) else ()
        entry = next((each for each in entries if each.name == name), None)
        if request.plan is None or entry is None or not isinstance(menu, Menu):
            raise ContentNotFound(f"{path}: no such entry")
        if entry.locked:
            if not (request.secure or menu.plain):
                raise ContentNotFound(f"{path}: passwords cross no network in the clear")
            await self._logins.check(request, menu)
        plan = attrs.evolve(request.plan, boot=entry.boot, profile=entry.name)
        return attrs.evolve(request, plan=plan)

    async def _for_named(self, path: ContentPath, request: BootRequest) -> BootRequest:
        """Check the MAC in a name. It identifies a client that is known by nothing else, such
        as one behind a router whose address a foreign DHCP server gave.
        """
        named = NAMED.fullmatch(path.name)
        if named is None:
            return request
        mac = parse_mac(named[1])
        if request.identity.mac == mac:
            return request
        if request.identity.mac:
            raise ContentNotFound(f"{path} is for another machine")
        identity = attrs.evolve(request.identity, mac=mac)
        resolution = await self._site.boot.resolve(attrs.evolve(request, identity=identity))
        resolved: BootRequest = resolution.request
        return resolved

    def _template_of(self, flavour: str, request: BootRequest, now: float) -> str:
        """Return the name of the template for a loader (`ipxe`, `grub`, `pxelinux`).

        :raises ContentNotFound: if the plan has nothing for that loader.
        """
        plan = request.plan
        assert plan is not None
        if lacks_text(plan.boot, flavour):
            raise ContentNotFound(f"profile {plan.profile} has no {flavour} text")
        if flavour == "ipxe" and self._site.boot.looping(request.identity, now):
            return "stopped.ipxe.j2"
        return _TEMPLATES[flavour]


def _own(folder: Path | None) -> list[str]:
    """Return which templates the site has replaced."""
    return [name for name in TEMPLATES if folder is not None and (folder / name).exists()]


def build(settings: Settings, site: Site) -> RenderedStore:
    """Make the store; the site's templates are compiled now, so that a mistake shows at start."""
    loaders: list[jinja2.BaseLoader] = [jinja2.PackageLoader("pxetwist.content")]
    if settings.templates is not None:
        if not settings.templates.is_dir():
            raise ConfigError(Location(""), f"templates: no such folder: {settings.templates}")
        loaders.insert(0, jinja2.FileSystemLoader(settings.templates))
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # loaders read plain text
        auto_reload=settings.templates is not None,
        bytecode_cache=_COMPILED,
    )
    environment.context_class = QuickContext
    environment.filters["basename"] = lambda text: text.rsplit("/", 1)[-1]
    environment.filters["one_line"] = one_line
    environment.filters["ipxe_text"] = ipxe_text
    environment.filters["grub_quote"] = grub_quote
    environment.filters["grub_words"] = grub_words
    environment.filters["batch_quote"] = installers.batch_quote
    environment.filters["batch_words"] = installers.batch_words
    environment.filters["windows_name"] = installers.windows_name
    environment.filters.update(answers.filters())
    rendered = RenderedTexts()
    rendered.watch(environment)
    for name in _own(settings.templates):
        try:
            environment.get_template(name)
        except jinja2.TemplateSyntaxError as error:
            place = Location(str(error.filename or name), error.lineno)
            raise ConfigError(place, f"template {name}: {error.message}") from error
    answers.AnswerTexts(site, environment).check(site.profiles.values())
    return RenderedStore(site, environment, rendered)
