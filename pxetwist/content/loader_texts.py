"""Fills the templates of loaders for a machine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import jinja2

from pxetwist.content import san
from pxetwist.content.answers import AnswerTexts
from pxetwist.content.context import Later
from pxetwist.content.installers import InstallerFiles
from pxetwist.content.rendered_texts import RenderedTexts
from pxetwist.content.spelling import grub_device, grub_path, one_line, tidy, url_below
from pxetwist.errors import PolicyError
from pxetwist.interfaces import Site
from pxetwist.model.answer import Answer
from pxetwist.model.boot import BootRequest
from pxetwist.model.boots import Boot, Files, Image, Iscsi, LocalDisk, Menu, Nbp, Script
from pxetwist.model.installers import Esxi, Windows
from pxetwist.model.machine import host_name
from pxetwist.model.nfs_root import path_in_root
from pxetwist.model.recent import Recent

#: So many texts of profiles are kept compiled, at least.
_TEXTS = 256
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


class LoaderTexts:
    """Knows what templates may use; `installers` makes what they name of installers' files."""

    def __init__(
        self,
        site: Site,
        environment: jinja2.Environment,
        rendered: RenderedTexts,
        answers: AnswerTexts,
    ) -> None:
        self.installers = InstallerFiles(site, answers, self.facts)
        self._site = site
        self._environment = environment
        self._rendered = rendered
        self._globals = dict(environment.globals)
        self._texts: Recent[str, jinja2.Template] = Recent(_TEXTS)

    def render(
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
        return tidy(text)

    def fill(self, text: str, facts: Mapping[str, object]) -> str:
        """Fill a text of a profile.

        :raises jinja2.TemplateError: if it is wrong.
        """
        return self._filled(self._template(text), facts)

    def _filled(self, template: jinja2.Template, variables: Mapping[str, object]) -> str:
        """Do what `template.render` does, and copy the variables once instead of three times."""
        context = template.new_context({**self._globals, **variables}, shared=True)
        return "".join(template.root_render_func(context))

    def facts(self, request: BootRequest) -> dict[str, object]:
        """Return what every text may use."""
        passing = self._rendered.of_this_moment
        return {
            "machine": request.machine,
            "identity": request.identity,
            "endpoints": request.endpoints,
            "plan": request.plan,
            "who": one_line(request.machine.name if request.machine else str(request.identity)),
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
        facts, passing = self.facts(request), self._rendered.of_this_moment

        def fill(text: str, **more: object) -> str:
            return self.fill(text, {**facts, **more})

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
        url = url_below(ends.web if by_web else ends.tftp)

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
            "file_url": partial(passing, self.installers.url, request, folders),
            "locked_url": partial(passing, self._locked_url, request),
            "tftp_url": url_below(request.endpoints.tftp),
            "grub_path": grub_path(grub_device(request)),
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


def _where(answer: Answer, folders: Mapping[str, str]) -> dict[str, str]:
    folder = folders[answer.profile]
    return {"answer": f"{folder}/{answer.template}", "answer_folder": folder}


def _kind(boot: Boot) -> str:
    return _KINDS[type(boot)]
