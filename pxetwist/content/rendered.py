"""Texts made from a plan: the iPXE script, GRUB's and PXELINUX's configuration.

Whoever asks gets its own text and nobody else's: the name says which loader asks, the request
says which machine. A site may replace any template by one of the same name in its own folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import attrs
import jinja2
from zope.interface import implementer

from pxetwist.config.fields import option, path
from pxetwist.content import answers, installers, san
from pxetwist.content.context import Compiled, Later, QuickContext
from pxetwist.content.installers import InstallerFiles
from pxetwist.content.logins import Logins
from pxetwist.content.rendered_texts import RenderedTexts
from pxetwist.content.text import TextContent
from pxetwist.content.versions import Versions
from pxetwist.errors import ConfigError, ContentError, ContentNotFound, Location, PolicyError
from pxetwist.interfaces import IBoot, IContent, IContentStore, INamesDisks, Site
from pxetwist.model.answer import Answer
from pxetwist.model.boot import (
    Boot,
    BootPlan,
    BootRequest,
    Files,
    Image,
    Iscsi,
    LocalDisk,
    Menu,
    Nbp,
    Protocol,
    RaspberryPi,
    SanDisk,
    Script,
)
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import parse_mac
from pxetwist.model.installers import Esxi, Windows
from pxetwist.model.machine import host_name
from pxetwist.model.nfs_root import by_nfs, path_in_root
from pxetwist.model.recent import Recent

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
_KINDS: dict[type, str] = {
    Files: "files",
    Windows: "windows",
    Esxi: "esxi",
    Nbp: "nbp",
    Image: "image",
    Iscsi: "iscsi",
    LocalDisk: "local",
    Script: "script",
    Menu: "menu",
}
#: `menu/NAME.ipxe` is one entry of the machine's own menu.
#: `grub.cfg-01-52-54-00-12-34-56` and `pxelinux.cfg/01-52-54-00-12-34-56` name a machine.
_LOCKED = re.compile(r"menu/[^/]+\.ipxe")
_NAMED = re.compile(
    r"(?:grub\.cfg-(?:01-)?|01-)((?:[0-9a-f]{2}[-:]){5}[0-9a-f]{2})", re.IGNORECASE
)
#: The file from which a Raspberry Pi takes the command line of its kernel.
COMMAND_LINE = "cmdline.txt"
_COMPILED = Compiled()
_GAPS = re.compile(r"\n{3,}")
#: So many texts of profiles are kept compiled, at least.
_TEXTS = 256


@attrs.frozen
class Settings:
    """Options of a ``rendered`` store."""

    templates: Path | None = option(
        path,
        default=None,
        doc="A folder with the site's own templates; those it lacks are the built-in ones."
        " Names: " + ", ".join(TEMPLATES) + ".",
    )


@implementer(IContentStore, INamesDisks)
class RenderedStore:
    """Makes the text that a loader asks for, at the moment it asks."""

    def __init__(
        self, site: Site, environment: jinja2.Environment, rendered: RenderedTexts
    ) -> None:
        self._site = site
        self._environment = environment
        self._rendered = rendered
        self._globals = dict(environment.globals)
        self._texts: Recent[str, jinja2.Template] = Recent(_TEXTS)
        self._logins = Logins(site)
        self._versions = Versions(site)
        self._answers = answers.AnswerTexts(site, environment)
        self._installers = InstallerFiles(site, self._answers, self._facts)

    async def open(self, path: ContentPath, request: BootRequest) -> IContent:
        """Render for the machine that asks; anything else is not found here."""
        now = self._site.reactor.seconds()
        if request.granted:
            text = self._installers.granted(path.name, request)
            if text is None:
                text = self._answers.render(path.name, request, self._facts(request))
            return TextContent(text, now)
        text = await self._installers.text(path, request)
        if text is not None:
            return TextContent(text, now)
        flavour = flavour_of(path)
        if not flavour:
            return TextContent(self._command_line(path, request), now)
        if _is_locked(path):
            request = await self._unlocked(path, request)
        request = await self._for_named(path, request)
        if request.plan is None:
            raise ContentNotFound(f"{path}: no plan for {request.identity}")
        request = await self._site.boot.begin(request)
        assert request.plan is not None
        plan = self._versions.pin(request.plan, request)
        plan = await startable(plan, flavour, request, self._site.boot)
        if plan is not request.plan:
            request = attrs.evolve(request, plan=plan)
        folders = {
            each.profile: await self._answers.folder(each, request) for each in plan.answers
        }
        name = self._template_of(flavour, request, now)
        if folders or self._environment.auto_reload or _is_locked(path):
            return TextContent(self._render(name, request, folders), now)
        kept = self._rendered.get(name, request)
        return kept or self._rendered.make(
            name, request, now, partial(self._render, name, request)
        )

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
        facts = {**self._facts(request), "root": boot.root}
        try:
            text = self._filled(self._template(boot.arguments), facts)
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
        facts = self._facts(request)
        try:
            return san.disk(lambda text: self._filled(self._template(text), facts), boot)
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
        named = _NAMED.fullmatch(path.name)
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
        if _lacks_text(plan.boot, flavour):
            raise ContentNotFound(f"profile {plan.profile} has no {flavour} text")
        if flavour == "ipxe" and self._site.boot.looping(request.identity, now):
            return "stopped.ipxe.j2"
        return _TEMPLATES[flavour]

    def _render(
        self, name: str, request: BootRequest, folders: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        """Fill a template for a resolved request; the answers of each profile are below the URL
        that `folders` has for it.

        :raises PolicyError: if a template of the site is wrong.
        """
        try:
            template = self._environment.get_template(name)
            text = self._filled(template, self._variables(request, folders))
        except jinja2.TemplateError as error:
            raise PolicyError(f"template {name}: {error}") from error
        return _tidy(text)

    def _filled(self, template: jinja2.Template, variables: Mapping[str, object]) -> str:
        """Do what `template.render` does, and copy the variables once instead of three times."""
        context = template.new_context({**self._globals, **variables}, shared=True)
        return "".join(template.root_render_func(context))

    def _facts(self, request: BootRequest) -> dict[str, object]:
        """Return what every text may use."""
        passing = self._rendered.of_this_moment
        return {
            "machine": request.machine,
            "identity": request.identity,
            "endpoints": request.endpoints,
            "plan": request.plan,
            "who": request.machine.name if request.machine else str(request.identity),
            "nfs_options": self._site.nfs_options,
            "bootif": f"01-{request.identity.mac.replace(':', '-')}"
            if request.identity.mac
            else "",
            "host": host_name(request.machine.name) if request.machine else "",
            "callback": Later(partial(passing, self._report_url, request, "callback")),
            "report_url": partial(passing, self._report_url, request),
            "ftp_url": partial(passing, self._ftp_url, request),
        }

    def _template(self, text: str) -> jinja2.Template:
        """Compile a text of a profile, which takes longer than to fill it in."""
        template = self._texts.get(text)
        if template is None:
            template = self._environment.from_string(text)
            self._texts.put(text, template)
        return template

    def _variables(self, request: BootRequest, folders: Mapping[str, str]) -> dict[str, object]:
        facts, passing = self._facts(request), self._rendered.of_this_moment

        def fill(text: str, **more: object) -> str:
            return self._filled(self._template(text), {**facts, **more})

        def script(text: str, flavour: str) -> str:
            body = fill(text)
            return body.removeprefix("#!ipxe").lstrip() if flavour == "ipxe" else body

        def arguments(boot: Files | Windows | Image | Iscsi) -> str:
            answer = boot.answer if isinstance(boot, Files) else None
            more: dict[str, object] = dict(_where(answer, folders)) if answer else {}
            if isinstance(boot, Files) and boot.root:
                more["root"] = boot.root
            text = boot.arguments
            return " ".join((fill(text, **more) if "{" in text else text).split())

        ends = request.endpoints
        by_web = request.identity.speaks_http or ends.secure is not None
        url = _url(ends.web if by_web else ends.tftp)

        def source(boot: Files, path: str) -> str:
            """Return the URL of a kernel or initrd; it may be in the root that we serve."""
            below = path_in_root(path)
            return boot.root.url(ends.host, below) if boot.root and below else url(path)

        logs_here = self._site.log_server and ":" not in ends.address
        return {
            **facts,
            "log_server": ends.address if logs_here else "",
            "kind": _kind,
            "arguments": arguments,
            "script": script,
            "word": partial(san.word, fill),
            "san_uri": partial(san.uri, fill),
            "credentials_url": lambda boot: _where(boot.answer, folders)["answer"],
            "url": url,
            "source": source,
            "file_url": partial(passing, self._installers.url, request, folders),
            "locked_url": partial(passing, self._locked_url, request),
            "tftp_url": _url(request.endpoints.tftp),
            "grub_path": _grub_path(_grub_device(request)),
            "pxelinux_path": lambda path: path if "://" in path else f"::{path}",
        }

    def _report_url(self, request: BootRequest, topic: str) -> str:
        now = self._site.reactor.seconds()
        return str(self._site.boot.report_url(request, topic, now))

    def _ftp_url(self, request: BootRequest, path: str) -> str:
        """Return the URL of a file by FTP, with a login as this machine."""
        token = self._site.boot.token(request, "files", self._site.reactor.seconds())
        login = f"boot:{token}@" if token else ""
        return f"ftp://{login}{request.endpoints.host}/{path.lstrip('/')}"

    def _locked_url(self, request: BootRequest, name: str) -> str:
        """Let iPXE put in what the person types; it answers our challenge with it."""
        base = self._site.boot.script_base(request, self._site.reactor.seconds())
        person = "${username:uristring}:${password:uristring}@"
        return f"{base.replace('://', '://' + person, 1)}/menu/{name}.ipxe"


async def startable(plan: BootPlan, flavour: str, request: BootRequest, boot: IBoot) -> BootPlan:
    """Return the plan with a menu of what can be started: an entry is left out if no content
    store has one of its files, or if it has no text for this loader. The local disk is started
    if nothing is left. wimboot is given what is there. Any other plan is returned as it is.
    """
    menu = plan.boot
    if isinstance(menu, Windows):
        return attrs.evolve(plan, boot=await _complete(menu, request, boot))
    if not isinstance(menu, Menu):
        return plan
    entries = []
    for listed in menu.entries:
        entry = listed
        if isinstance(listed.boot, Windows):
            entry = attrs.evolve(listed, boot=await _complete(listed.boot, request, boot))
        there = [await _has(boot, request, file) for file in _files_of(entry.boot)]
        openable = not entry.locked or _asks_passwords(menu, flavour, request)
        if all(there) and not _lacks_text(entry.boot, flavour) and openable:
            entries.append(entry)
    if not entries:
        return attrs.evolve(plan, boot=LocalDisk())
    names = [entry.name for entry in entries]
    default = menu.default if menu.default in names else names[0]
    return attrs.evolve(plan, boot=attrs.evolve(menu, entries=tuple(entries), default=default))


async def _complete(windows: Windows, request: BootRequest, boot: IBoot) -> Windows:
    """Leave out files of the medium that no store has: wimboot takes its own out of the WIM."""
    there = [
        (name, file)
        for name, file in windows.files
        if file == windows.wim or await _has(boot, request, file)
    ]
    return attrs.evolve(windows, files=tuple(there))


def _files_of(boot: Boot) -> tuple[str, ...]:
    match boot:
        case Windows():
            return (boot.wimboot, boot.wim)
        case Esxi():
            return (boot.mboot,)
        case Files():
            return (boot.kernel, *boot.initrds)
        case Image():
            return (boot.path, boot.memdisk) if boot.memdisk else (boot.path,)
        case Iscsi():
            return (boot.kernel, *boot.initrds) if boot.kernel else ()
        case Nbp():
            return (boot.path,)
    return ()


def _asks_passwords(menu: Menu, flavour: str, request: BootRequest) -> bool:
    """Only iPXE asks people for a password that we can check, and few of them know HTTPS."""
    return flavour == "ipxe" and (menu.plain or request.endpoints.secure is not None)


def _lacks_text(boot: Boot, flavour: str) -> bool:
    if isinstance(boot, Image) and boot.memdisk:
        return flavour == "grub"
    if isinstance(boot, Files) and boot.by_nfs:
        return flavour != "ipxe"
    if isinstance(boot, Windows | Esxi | Image | Iscsi):
        return flavour != "ipxe"
    if isinstance(boot, RaspberryPi):
        return True
    return isinstance(boot, Script) and not getattr(boot, flavour)


async def _has(boot: IBoot, request: BootRequest, file: str) -> bool:
    """Whether a content store has a file; URLs are believed, and so are files in
    roots and texts of our own.
    """
    if "://" in file or by_nfs(file):
        return True
    try:
        path = ContentPath.parse(file)
        if not flavour_of(path):
            (await boot.open(path, attrs.evolve(request, wanted=path))).close()
    except (ContentError, ValueError):
        return False
    return True


def _is_locked(path: ContentPath) -> bool:
    """Whether a path is that of one entry of the machine's menu."""
    return path.parts[0] == "menu" and _LOCKED.fullmatch(str(path)) is not None


def flavour_of(path: ContentPath) -> str:
    """Return which loader asks for such a name; empty: it is no generated text."""
    if path.name in ("boot.ipxe", "autoexec.ipxe") or _is_locked(path):
        return "ipxe"
    if path.name == "grub.cfg" or (
        path.name.startswith("grub.cfg-") and _NAMED.fullmatch(path.name)
    ):
        return "grub"
    if path.folder.endswith("pxelinux.cfg") and (
        path.name == "default" or _NAMED.fullmatch(path.name)
    ):
        return "pxelinux"
    return ""


def _where(answer: Answer, folders: Mapping[str, str]) -> dict[str, str]:
    folder = folders[answer.profile]
    return {"answer": f"{folder}/{answer.template}", "answer_folder": folder}


def _kind(boot: Boot) -> str:
    return _KINDS[type(boot)]


def _url(base: str) -> Callable[[str], str]:
    return lambda path: path if "://" in path else f"{base}/{path.lstrip('/')}"


def _grub_device(request: BootRequest) -> str:
    """Name the way on which GRUB came: one that was loaded by HTTP may lack TFTP (quirk B8)."""
    ends = request.endpoints
    if request.protocol is not Protocol.HTTP:
        return f"(tftp,{ends.address})"
    scheme, _, place = (ends.web if request.secure else ends.http).partition("://")
    return f"({scheme},{place})"


def _grub_path(device: str) -> Callable[[str], str]:
    """GRUB takes files from the device that it came from; an explicit server is safer beside a
    foreign DHCP server. A URL becomes `(http,host)/path`; names would need GRUB's own DNS.
    """

    def convert(path: str) -> str:
        scheme, found, rest = path.partition("://")
        if not found:
            return f"{device}/{path.lstrip('/')}"
        host, _, file = rest.partition("/")
        return f"({scheme},{host})/{file}"

    return convert


def _grub_quote(text: str) -> str:
    """Quote one word for GRUB's shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def _grub_words(text: str) -> str:
    """Quote each argument that GRUB's shell would take apart (quirk B9)."""
    plain = re.compile(r"[\w@%+=:,./-]*")
    return " ".join(word if plain.fullmatch(word) else _grub_quote(word) for word in text.split())


def _tidy(text: str) -> str:
    lines = [line.rstrip() for line in text.splitlines()]
    return _GAPS.sub("\n\n", "\n".join(lines)).strip() + "\n"


def _own(folder: Path | None) -> list[str]:
    """Return which templates the site has replaced."""
    return [name for name in TEMPLATES if folder is not None and (folder / name).exists()]


def build(settings: Settings, site: Site) -> RenderedStore:
    """Make the store; the site's templates are compiled now, so that a mistake shows at start."""
    loaders: list[jinja2.BaseLoader] = [jinja2.PackageLoader("pxetwist.content")]
    if settings.templates is not None:
        if not settings.templates.is_dir():
            raise ConfigError(Location(str(settings.templates)), "templates: no such folder")
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
    environment.filters["grub_quote"] = _grub_quote
    environment.filters["grub_words"] = _grub_words
    environment.filters["batch_words"] = installers.batch_words
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
