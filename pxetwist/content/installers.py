"""Files of installers that are made for one machine: of Windows PE, and of ESXi.

They are below ``install/PROFILE/TOKEN``. The token was made for this machine and profile when a
script or a boot.cfg named the file, and that alone counts: installers ask when the boot in which
they were started may be long over, and for what only the right password has opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import quote

import attrs
import jinja2

from pxetwist.content import bootcfg
from pxetwist.content.answers import AnswerTexts
from pxetwist.content.context import Compiled
from pxetwist.errors import ContentIncomplete, ContentNotFound, PolicyError
from pxetwist.interfaces import Site
from pxetwist.model.answer import Answer
from pxetwist.model.boot import BootPlan, BootRequest, Protocol, Verdict
from pxetwist.model.boots import Boot, Menu
from pxetwist.model.content import ContentPath
from pxetwist.model.installers import ESXI_TEXTS, WINDOWS_TEXTS, Esxi, Windows

#: The folder of these files, each below a profile and a token.
FOLDER = "install"
_PLACE = re.compile(rf"{FOLDER}/([^/]+)/([^/]+)/([^/]+)")
_CONFIGURATION = "boot.cfg"
_NAMED = re.compile(r"01-((?:[0-9a-f]{2}-){5}[0-9a-f]{2})")
#: A boot.cfg is read no further; those of VMware have some 5 KiB.
_LONGEST = 64 << 10
#: Windows' own programs want these ends of lines.
_CRLF = (".cmd", ".bat", ".ini")

_COMPILED_XML = Compiled()

#: Returns what the templates of a request with a plan may use.
Facts = Callable[[BootRequest], Mapping[str, object]]


class InstallerFiles:
    """Makes the files, from built-in templates, those of the site, or those of the profile."""

    def __init__(self, site: Site, answers: AnswerTexts, facts: Facts) -> None:
        self._site = site
        self._answers = answers
        self._plain = answers.environment
        self._xml = self._plain.overlay(autoescape=True, bytecode_cache=_COMPILED_XML)
        self._facts = facts

    def url(
        self,
        request: BootRequest,
        folders: Mapping[str, str],
        boot: Windows | Esxi,
        profile: str,
        file: str,
    ) -> str:
        """Return where a machine finds a file: secret ones in the folder of the profile's answers.
        Its loader reads those of Windows, which may know no HTTP, or HTTPS as well.

        :raises PolicyError: if the machine has no MAC to be known by.
        """
        if _is_secret(boot, file):
            return f"{folders[profile]}/{file}"
        token = self._site.boot.token(request, _purpose(profile), self._site.reactor.seconds())
        if not token:
            raise PolicyError(f"{request.identity} has no MAC: no {file} is made for it")
        base = request.endpoints.http
        if isinstance(boot, Windows):
            by_web = request.identity.speaks_http or request.endpoints.secure is not None
            base = request.endpoints.web if by_web else request.endpoints.tftp
        return f"{base}/install/{quote(profile)}/{token}/{file}"

    async def text(self, path: ContentPath, request: BootRequest) -> str | None:
        """Return the text of a file; `None`: it is none of these.

        :raises ContentNotFound: if it is, but not for this machine.
        :raises ContentIncomplete: if the medium lacks what it is made from.
        :raises PolicyError: if it cannot be made; the reason is for people.
        """
        place = _PLACE.fullmatch(str(path)) if path.parts[0] == FOLDER else None
        if place is not None:
            request = await self._entitled(place[1], place[2], request)
            if request.plan is None or _is_secret(request.plan.boot, place[3]):
                raise ContentNotFound(f"{place[3]} of {place[1]} is secret")
            return await self._made(place[3], request)
        plan = request.plan
        if path.name != _CONFIGURATION or plan is None or not isinstance(plan.boot, Esxi):
            return None
        # mboot that firmware has started asks below a folder of its MAC first.
        named = _NAMED.fullmatch(path.parts[-2]) if path.folder else None
        if named and named[1].replace("-", ":") != request.identity.mac:
            raise ContentNotFound(f"{path} is for another machine")
        return await self._made(path.name, request)

    def granted(self, file: str, request: BootRequest) -> str | None:
        """Return the text of a secret file, for a request that may read it; `None`: it is not of
        Windows or ESXi.
        """
        plan = self._plan(request.granted, request)
        if not isinstance(plan.boot, Windows | Esxi):
            return None
        return self._text(file, attrs.evolve(request, plan=plan))

    async def _entitled(self, profile: str, token: str, request: BootRequest) -> BootRequest:
        """Return the request of the machine that a token was made for, with what it is to boot."""
        now = self._site.reactor.seconds()
        known = self._site.boot.redeem(token, now, _purpose(profile))
        if known is None:
            raise ContentNotFound(f"no such token for {profile}")
        identity, boot_id = known
        identity = attrs.evolve(identity, address=request.identity.address)
        asked = attrs.evolve(request, identity=identity, boot_id=boot_id, machine=None, plan=None)
        resolution = await self._site.boot.resolve(asked)
        if resolution.verdict is Verdict.BROKEN:
            raise PolicyError(resolution.reason)
        resolved: BootRequest = resolution.request
        return attrs.evolve(resolved, plan=self._plan(profile, resolved))

    def _plan(self, name: str, request: BootRequest) -> BootPlan:
        """Return the plan or menu entry of that name, else the profile as it is in the INI: the
        boot may be over.
        """
        plan = request.plan
        if plan is not None and plan.profile == name:
            return plan
        if plan is not None and isinstance(plan.boot, Menu):
            for entry in plan.boot.entries:
                if entry.name == name:
                    return attrs.evolve(plan, boot=entry.boot, profile=name)
        profile = self._site.profiles.get(name)
        if profile is None:
            raise ContentNotFound(f"there is no profile {name} any more")
        return profile.plan(request.identity.architecture)

    async def _made(self, file: str, request: BootRequest) -> str:
        assert request.plan is not None
        boot = request.plan.boot
        if isinstance(boot, Esxi) and file == _CONFIGURATION:
            return await self._boot_cfg(request, boot)
        return self._text(file, request)

    def _text(self, file: str, request: BootRequest) -> str:
        plan = request.plan
        assert plan is not None
        boot = plan.boot
        if not isinstance(boot, Windows | Esxi) or file not in dict(boot.texts):
            raise ContentNotFound(f"profile {plan.profile} has no {file}")
        facts, answer = self._facts(request), boot.answer or Answer(plan.profile, "")
        environment = self._xml if file.lower().endswith(".xml") else self._plain
        try:
            own = dict(boot.texts)[file]
            template = (
                environment.from_string(own) if own else environment.get_template(f"{file}.j2")
            )
            values = self._answers.values(answer, request, facts)
            text = template.render({**values, **facts, "boot": boot})
        except (jinja2.TemplateError, ValueError) as error:
            raise PolicyError(f"template {file}: {error}") from error
        return text.replace("\n", "\r\n") if file.lower().endswith(_CRLF) else text

    async def _boot_cfg(self, request: BootRequest, boot: Esxi) -> str:
        plan = request.plan
        assert plan is not None
        settings = bootcfg.parse(await self._first(boot.configurations, request))
        facts = self._facts(request)
        try:
            arguments = self._plain.from_string(boot.arguments).render(facts)
        except jinja2.TemplateError as error:
            raise PolicyError(f"profile {plan.profile}, arguments: {error}") from error
        secret = boot.answer if _is_secret(boot, "ks.cfg") else None
        folders = {plan.profile: await self._answers.folder(secret, request)} if secret else {}
        by_url = request.protocol is Protocol.HTTP
        return bootcfg.made(
            settings,
            prefix=f"{request.endpoints.http}/{quote(boot.media)}" if by_url else boot.media,
            kickstart=self.url(request, folders, boot, plan.profile, "ks.cfg"),
            arguments=arguments,
            who=str(facts["who"]),
        )

    async def _first(self, names: tuple[str, ...], request: BootRequest) -> str:
        """Return the first of the site's own files that is there.

        :raises ContentIncomplete: if none is.
        """
        plain = attrs.evolve(request, plan=None)  # nobody may take it for the one that we make
        for name in names:
            try:
                content = await self._site.boot.open(ContentPath.parse(name), plain)
            except ContentNotFound:
                continue
            try:
                data = await content.read(0, _LONGEST)
            finally:
                content.close()
            return bytes(data).decode("utf-8", "replace")
        word = f"no content store has {' or '.join(names)}, the boot.cfg of the medium"
        raise ContentIncomplete(word)


def _is_secret(boot: Boot, file: str) -> bool:
    """Whether only the machine itself may have a file, as any secret answer."""
    answer = boot.answer if isinstance(boot, Windows | Esxi) else None
    return answer is not None and answer.secret and file in answer.names


def _purpose(profile: str) -> str:
    return f"install/{profile}"


def batch_words(text: str) -> str:
    """Spell a text for cmd.exe, which would take parts of it for commands or variables."""
    line = "".join(c for c in text if c.isprintable())
    return re.sub(r'([&|<>()^"!])', r"^\1", line).replace("%", "%%")


def batch_quote(text: str) -> str:
    """Make one word of cmd.exe.

    :raises ValueError: if it cannot be one; the text is not repeated.
    """
    if '"' in text or not text.isprintable():
        raise ValueError("a share, its user or its password has a double quote or a line break")
    return '"' + text.replace("%", "%%") + '"'


def windows_name(name: str) -> str:
    """Spell a name as that of a computer: Setup stops at signs, at blanks and at digits alone.
    ``*`` lets it choose one.
    """
    spelled = re.sub(r"[^\w-]+", "-", name.partition(".")[0])[:15].strip("-")
    return "*" if not spelled or spelled.isdigit() else spelled


#: The names of the built-in templates.
TEMPLATES = tuple(f"{name}.j2" for name in (*WINDOWS_TEXTS, *ESXI_TEXTS))
