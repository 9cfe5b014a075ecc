"""The texts that answer installers: a template, filled with the values of a profile."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv4Network, ip_address
from urllib.parse import urlsplit

import attrs
import jinja2
import jinja2.meta

from pxetwist.errors import ConfigError, ConfigErrors, ContentNotFound, Location, PolicyError
from pxetwist.interfaces import Site
from pxetwist.model.answer import Answer
from pxetwist.model.boot import BootRequest
from pxetwist.model.lease import Network
from pxetwist.model.profile import INSTALLERS, BootProfile

#: The built-in templates.
TEMPLATES = (
    "preseed.cfg.j2",
    "kickstart.cfg.j2",
    "user-data.j2",
    "meta-data.j2",
    "vendor-data.j2",
    "autoyast.xml.j2",
    "credentials.ipxe.j2",
)
#: Variables of every template, and what they stand for if a profile does not say.
DEFAULTS = {
    "hostname": "{{ machine.name if machine else 'host-' ~ identity.mac | replace(':', '') }}",
    "domain": "",
    "network": "dhcp",
    "address": "",
    "netmask": "",
    "gateway": "",
    "nameservers": "",
    "disk": "",
    "mirror": "",
    "proxy": "",
    "locale": "en_US.UTF-8",
    "keymap": "us",
    "timezone": "UTC",
    "root_password": "",
    "user": "",
    "user_password": "",
    "ssh_keys": "",
    "packages": "",
    "early": "",
    "post": "",
}
#: Those that are lists: of words, or of lines, as installers tell lines apart. All others are of
#: one line.
_WORDS, _LINES = ("nameservers", "packages"), ("ssh_keys", "early", "post")
#: What templates may look at besides; see the page on templates.
FACTS = (
    *("machine", "identity", "endpoints", "plan", "who", "callback", "report_url", "ftp_url"),
    "prefix",
)
#: XML cannot have these (XML 1.0 §2.2), nor UTF-8 the surrogates, nor does anybody need them.
_NO_TEXT = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

Facts = Mapping[str, object]


def _yaml(value: object) -> str:
    """Spell texts and lists of them as YAML does, which knows no surrogates (YAML 1.2 §5.7)."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[^ -~]", lambda found: f"\\U{ord(found[0]):08x}", text)


def filters() -> dict[str, Callable[[str], str]]:
    """Return what templates need to put values into files of others."""
    return {
        "b64": lambda text: base64.b64encode(text.encode()).decode(),
        "hexraw": lambda text: text.encode().hex(),
        "shell": shlex.quote,
        "url_host": lambda url: urlsplit(url).netloc,
        "url_path": lambda url: urlsplit(url).path or "/",
        "url_scheme": lambda url: urlsplit(url).scheme,
        "yaml": _yaml,
    }


@attrs.frozen
class AnswerTexts:
    """Fills templates for machines."""

    site: Site
    environment: jinja2.Environment

    def check(self, profiles: Collection[BootProfile]) -> None:
        """Look at what profiles say before any machine asks.

        :raises ConfigErrors: for templates that are not there or are wrong, and for values that
            none of the profile's templates looks at.
        """
        errors = []
        for profile in profiles:
            try:
                if profile.kind in INSTALLERS:
                    self._check_made(profile)
                elif profile.answer is not None:
                    self._check(profile.answer)
            except ConfigError as error:
                title = f"[profile:{profile.name}] "
                errors.append(ConfigError(error.location, title + error.message))
        if errors:
            raise ConfigErrors(errors)

    def _check_made(self, profile: BootProfile) -> None:
        used: set[str] = set()
        for file, own in profile.made_files:
            try:
                used |= self._variables(own) if own else self._variables_of(f"{file}.j2")
            except jinja2.TemplateSyntaxError as error:
                message = f"files.{file}, line {error.lineno}: {error.message}"
                raise ConfigError(Location(""), message) from error
        if profile.answer is not None:
            _check_values(profile.answer, used, "no file that is made")

    def _check(self, answer: Answer) -> None:
        used: set[str] = set()
        for file in answer.files:
            try:
                used |= self._variables_of(f"{file}.j2")
            except jinja2.TemplateNotFound as error:
                message = f"answer: there is no template {error.name}"
                raise ConfigError(answer.location, message) from error
            except jinja2.TemplateSyntaxError as error:
                message = f"template {file}.j2, line {error.lineno}: {error.message}"
                raise ConfigError(answer.location, message) from error
        _check_values(answer, used, answer.template)

    def _variables_of(self, name: str) -> set[str]:
        """Return the variables of a template, and of all that it includes or extends."""
        assert self.environment.loader is not None
        source, _, _ = self.environment.loader.get_source(self.environment, name)
        return self._variables(source, name)

    def _variables(self, source: str, name: str | None = None) -> set[str]:
        tree = self.environment.parse(source, name)
        found = jinja2.meta.find_undeclared_variables(tree)
        for other in jinja2.meta.find_referenced_templates(tree):
            if other is not None:
                found |= self._variables_of(other)
        return found

    def render(self, file: str, request: BootRequest, facts: Facts) -> str:
        """Return the text of a file of the answers that a request may read.

        :raises ContentNotFound: if there is no such file among them.
        :raises PolicyError: if a template or value is wrong; it never repeats a value.
        """
        answers = request.plan.answers if request.plan else ()
        answer = next((each for each in answers if each.profile == request.granted), None)
        if answer is None or file not in answer.files:
            raise ContentNotFound(f"no answer {file}")
        try:
            values = self.values(answer, request, facts)
            return self.environment.get_template(f"{file}.j2").render({**values, **facts})
        except (jinja2.TemplateError, ValueError) as error:
            raise PolicyError(
                f"template {file}.j2 of profile {answer.profile}: {error}"
            ) from error

    async def folder(self, answer: Answer, request: BootRequest) -> str:
        """Return the URL below which a machine finds its answers.

        :raises PolicyError: if it has no MAC to be known by.
        """
        now = self.site.reactor.seconds()
        found: str = await self.site.boot.answer_folder(request, answer, now)
        if not found:
            raise PolicyError(f"answers of profile {answer.profile} need a machine with a MAC")
        return found

    def values(self, answer: Answer, request: BootRequest, facts: Facts) -> dict[str, object]:
        """Return the variables of its template.

        :raises ValueError: if values do not fit.
        """
        texts = dict(DEFAULTS)
        secrets = {name: value.text for name, value in answer.values.items() if value.file}
        texts |= {name: value.text for name, value in answer.values.items() if not value.file}

        def fill(name: str, text: str) -> str:
            found = text if "{" not in text else self.environment.from_string(text).render(facts)
            if found.strip() or text == DEFAULTS.get(name, text):
                return found
            return fill(name, DEFAULTS[name])  # an empty label says nothing

        filled = {name: fill(name, text) for name, text in texts.items() if name not in secrets}
        filled |= secrets
        if filled["network"] not in ("dhcp", "static"):
            raise ValueError("network is neither dhcp nor static")
        if filled["network"] == "static":
            filled |= {name: text for name, text in self._static(filled, request).items() if text}
        prefix = _prefix(filled["netmask"])
        return {**{name: _checked(name, text) for name, text in filled.items()}, "prefix": prefix}

    def _static(self, filled: Mapping[str, str], request: BootRequest) -> dict[str, str]:
        """Complete a fixed address: the machine's reserved one, and what its subnet says."""
        reserved = request.machine.address if request.machine else None
        text = filled["address"] or str(reserved or "")
        if not text:
            raise ValueError("network is static, and neither value nor machine has an address")
        address = ip_address(text)
        subnet = next((n for n in self.site.networks.values() if address in n.network), None)
        found = {"address": text}
        if isinstance(address, IPv4Address) and isinstance(subnet, Network):
            found |= {
                "netmask": str(subnet.network.netmask),
                "gateway": str(next(iter(subnet.routers), "")),
                "nameservers": " ".join(map(str, subnet.name_servers)),
            }
        found |= {name: text for name in found if (text := filled[name])}
        if not found.get("netmask"):
            raise ValueError(f"no [subnet:NAME] has {text}: answer.netmask is missing")
        return found


def _check_values(answer: Answer, used: Collection[str], what: str) -> None:
    for name in answer.values:
        if name not in used:
            close = _close(name, used).replace("_", "-")
            hint = f"; did you mean answer.{close}?" if close else ""
            word = "looks" if what.startswith("no ") else "does not look"
            option = f"answer.{name.replace('_', '-')}"
            raise ConfigError(answer.location, f"{option}: {what} {word} at it{hint}")
    for name, value in answer.values.items():
        if value.file or "{" not in value.text:
            try:
                _checked(name, value.text)
            except ValueError as error:
                message = str(error).removeprefix(name)
                option = f"answer.{name.replace('_', '-')}"
                raise ConfigError(answer.location, option + message) from error


def _prefix(netmask: str) -> int:
    return IPv4Network(f"0.0.0.0/{netmask}").prefixlen if netmask else 0


def _shaped(name: str, text: str) -> str | list[str]:
    """Make a list, or one line: nothing that a directory says begins a line of its own.

    :raises ValueError: for packages that would be commands or comments of kickstart.
    """
    if name in _WORDS or name in _LINES:
        items = re.split(r"[,\s]+", text) if name in _WORDS else text.splitlines()
        found = [item.strip() for item in items if item.strip()]
        if name == "packages" and any(item[0] in "%#" for item in found):
            raise ValueError("packages: one begins with % or #")
        if name == "packages" and "-" in found:
            raise ValueError("packages: a dash alone is none")
        return found
    return " ".join(text.split()) if name in DEFAULTS else text


def _checked(name: str, text: str) -> str | list[str]:
    """Return a value as templates see it.

    :raises ValueError: for what some installer cannot be told: it never repeats the value.
    """
    shaped = _shaped(name, text)
    items = shaped if isinstance(shaped, list) else [shaped]
    if any(map(_NO_TEXT.search, items)):
        raise ValueError(f"{name}: it has a control character")
    if name in DEFAULTS and name not in _LINES and any(item.endswith("\\") for item in items):
        raise ValueError(f"{name}: it ends with a backslash")  # joins lines of preseed
    if name in DEFAULTS and isinstance(shaped, str) and shaped.startswith("-"):
        raise ValueError(f"{name}: it begins with a dash")  # an option of kickstart
    return shaped


def _close(name: str, known: Collection[str]) -> str:
    return next(iter(get_close_matches(name, sorted(known), 1)), "")
