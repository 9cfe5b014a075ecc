"""The one answer behind every mouth: what the services and plugins ask through their site."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from inspect import iscoroutine
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from types import MappingProxyType
from typing import Any

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pxetwist.boot.answers import Answers
from pxetwist.boot.contents import Contents
from pxetwist.boot.decisions import Decisions
from pxetwist.boot.first_files import FirstFiles
from pxetwist.boot.guard import Bugs
from pxetwist.boot.https import Https
from pxetwist.boot.loader_trials import LoaderTrials
from pxetwist.boot.loaders import Loader, Loaders
from pxetwist.boot.policies import Policies
from pxetwist.boot.promises import Promises
from pxetwist.boot.recognition import Recognition
from pxetwist.boot.resolver import IDENTIFICATION, BootResolver, Identification
from pxetwist.boot.sightings import Sightings
from pxetwist.boot.tokens import Tokens
from pxetwist.boot.urls import Urls
from pxetwist.errors import ContentDenied, DirectoryUnavailable
from pxetwist.file_tree import IExport
from pxetwist.interfaces import (
    IAuthenticator,
    IBoot,
    IBootObserver,
    IBootPolicy,
    IContent,
    IContentStore,
    IExplains,
    IHostDirectory,
)
from pxetwist.model.answer import Answer
from pxetwist.model.boot import BootFile, BootRequest, BootStage, Edition, Login, Resolution
from pxetwist.model.boots import SanDisk, native_program
from pxetwist.model.content import ContentPath, Listed
from pxetwist.model.event import BootEvent
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Network
from pxetwist.model.redemption import AnswerQuestion, Redemption
from pxetwist.model.report import MachineReport

_NO_HTTPS = Https()


@implementer(IBoot)
class BootFacade:
    """Joins resolver, sightings, loaders, content and observers. Built first, attached later,
    since the plugins that it asks are given the facade themselves.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        *,
        loaders: Sequence[Loader] = (),
        networks: Mapping[str, Network],
        state_folder: Path,
        http_port: int = 80,
        https: Https = _NO_HTTPS,
        address: IPv4Address | None = None,
        identification: Identification = IDENTIFICATION,
        sightings: Sightings | None = None,
    ) -> None:
        self._reactor = reactor
        self._bugs = Bugs(reactor)
        self.networks = networks
        self.http_port = http_port
        self.https = https
        self._identification = identification
        self.loaders = Loaders(tuple(loaders))
        self._trials = LoaderTrials()
        self.sightings = Sightings() if sightings is None else sightings
        self.tokens = Tokens(state_folder)
        self._urls = Urls(self.tokens)
        self._recognition = Recognition(self.sightings, self.tokens)
        self._decisions = Decisions(
            reactor, self.sightings, self._trials, https, address, bugs=self._bugs
        )
        self._first_files = FirstFiles(
            *(self.loaders, self._trials, self.sightings, https, self._urls)
        )
        self._attending: list[IBootObserver] = []
        self.attach(hosts=(), policies=(), content=(), observers=(), leases=None)

    def attach(
        self,
        *,
        hosts: Sequence[tuple[str, IHostDirectory]],
        policies: Sequence[tuple[str, IBootPolicy]],
        content: Sequence[tuple[str, IContentStore]],
        observers: Sequence[tuple[str, IBootObserver]],
        leases: Any,
        redemptions: Any = None,
        exports: Mapping[str, IExport] = MappingProxyType({}),
    ) -> None:
        """Give it the plugins, in the order of the INI; without `redemptions` nothing can be
        given but once.
        """
        self.resolver = BootResolver(
            *(self._reactor, hosts, policies, self._identification, self.loaders.family_of)
        )
        self.leases: Any = leases  # ILeaseStore; `None` only before the plugins are there
        directories, deciding = [each for _, each in hosts], [each for _, each in policies]
        self._decisions.attach(self.resolver, [*directories, *deciding])
        self._promises = Promises(self.sightings, hosts, leases, self._bugs)
        self._guards = {name: each for name, each in hosts if IAuthenticator.providedBy(each)}
        self.policies = Policies(self.resolver, self.sightings, policies)
        self._contents = Contents(content, self.loaders, self._bugs)
        self._observers = observers
        self.redemptions = redemptions
        self._exports = exports

    def reload(self) -> None:
        """Decide every machine anew: directories were read again."""
        self._decisions.forget()

    @property
    def rehearsal(self) -> bool:
        """Whether nothing takes effect."""
        return self.policies.rehearsal

    def now(self) -> float:
        """Return the time by which it judges, in seconds since the epoch."""
        return self._reactor.seconds()

    def policies_that_explain(self) -> Sequence[IExplains]:
        """Return the policies that can say how they decide."""
        return [policy for _, policy in self.policies.policies if IExplains.providedBy(policy)]

    # Who is it?

    def see(self, identity: ClientIdentity, stage: BootStage, now: float) -> str:
        """Note a machine at a stage; return its boot id."""
        return self._recognition.see(identity, stage, now)

    def locate(
        self, address: IPv4Address | IPv6Address, identity: ClientIdentity, now: float
    ) -> None:
        """Note the address that a machine speaks from."""
        self._recognition.locate(address, identity, now)

    async def identify(self, address: str, now: float) -> tuple[ClientIdentity, str]:
        """Turn a peer address into the machine behind it, as well as we know."""
        return await self._recognition.identify(address, self.leases, now)

    def seen_at(self, address: str, now: float) -> bool:
        """Whether a machine was seen at this address lately, without asking anybody."""
        return self._recognition.seen_at(address, now)

    def redeem(
        self, token: str, now: float, purpose: str = ""
    ) -> tuple[ClientIdentity, str] | None:
        """Turn the token of a URL into the machine it was made for."""
        return self._recognition.redeem(token, now, purpose)

    def reserved_addresses(self) -> Collection[IPv4Address | IPv6Address]:
        """Collect what the directories have promised."""
        return self._promises.addresses()

    def remembers(self, mac: str) -> bool:
        """Look where it costs nothing."""
        return self._promises.remembers(mac, self._reactor.seconds())

    # What does it get?

    async def resolve(self, request: BootRequest) -> Resolution:
        """Resolve a request, and choose address and scheme of this client's URLs."""
        return await self._decisions.resolve(request)

    def confirm(
        self, identity: ClientIdentity, resolution: Resolution, edition: Edition, now: float
    ) -> str:
        """Give the same decision once more, in the present boot."""
        return self._decisions.confirm(identity, resolution, edition, now)

    def edition(self) -> Edition:
        """Return what all that is asked answers from; `None`: not everything can tell."""
        return self._decisions.edition()

    def script_base(self, request: BootRequest, now: float) -> str:
        """Return the URL below which this machine's scripts are."""
        return self._urls.script_base(request, now)

    def token(self, request: BootRequest, purpose: str, now: float) -> str:
        """Return what tells the machine of a request in a URL for a purpose."""
        return self._urls.token(request, purpose, now)

    def report_url(self, request: BootRequest, topic: str, now: float) -> str:
        """Return where this machine may report on a topic."""
        return self._urls.report_url(request, topic, now)

    @property
    def _answers(self) -> Answers:
        return Answers(
            self.tokens,
            self.sightings,
            self.https,
            self.resolve,
            self.tell,
            leases=self.leases,
            store=self.redemptions,
        )

    async def answer_folder(self, request: BootRequest, answer: Answer, now: float) -> str:
        """Return where this machine finds an answer."""
        return await self._answers.folder(request, answer, now)

    async def judge_answer(self, question: AnswerQuestion, now: float) -> Redemption:
        """Judge who asks for an answer."""
        return await self._answers.judge(question, now)

    async def redeem_answer(self, redemption: Redemption, now: float) -> None:
        """Note that it is given."""
        await self._answers.redeem(redemption, now)

    async def settle_answer(self, redemption: Redemption, *, whole: bool) -> None:
        """Note how it ended."""
        await self._answers.settle(redemption, whole=whole)

    async def hear(self, report: MachineReport) -> str | None:
        """Pass a report to the policies."""
        return await self.policies.hear(report, self.tell)

    async def begin(self, request: BootRequest) -> BootRequest:
        """Put a plan into effect."""
        return await self.policies.begin(request, self._reactor.seconds())

    async def authenticate(self, guard: str, login: Login) -> Collection[str] | None:
        """Let the directory of this name check a person's password."""
        directory = self._guards.get(guard)
        if directory is None:
            raise DirectoryUnavailable(f"[hosts:{guard}] checks no passwords")
        groups: Collection[str] | None = await directory.authenticate(login)
        return groups

    def boot_file(self, request: BootRequest, now: float) -> BootFile | None:
        """Choose the first file of a resolved request."""
        return self._first_files.choose(request, now)

    def looping(self, identity: ClientIdentity, now: float) -> bool:
        """Whether this machine's iPXE was stopped for loading itself."""
        return self._first_files.looping(identity, now)

    async def open(self, path: ContentPath, request: BootRequest) -> IContent:
        """Open a content from the first store that has it."""
        if self._trials:
            self._trials.asked(request.identity.key, str(path))
        plan = request.plan
        if plan and str(path) == native_program(plan.boot):
            request = await self.begin(request)
            if request.plan and request.plan.boot != plan.boot:
                raise ContentDenied(f"{path} is not the plan of {request.identity} any more")
        return await self._contents.open(path, request)

    def lasts(self, path: ContentPath, content: IContent, request: BootRequest) -> bool:
        """Whether a content is the same for as long as its request stands."""
        return self._contents.lasts(path, content, request)

    def stands(self, request: BootRequest, edition: Edition) -> bool:
        """Whether a request would be resolved in the same way now, and nothing be begun."""
        now, plan = self._reactor.seconds(), request.plan
        return (
            plan is not None
            and not self._trials
            and not self.policies.wants(plan)
            and self._decisions.stands(request, edition, now)
            and not self.looping(request.identity, now)
        )

    def disk(self, request: BootRequest) -> SanDisk | None:
        """Return the iSCSI disk of a resolved request."""
        return self._contents.disk(request)

    def export(self, name: str) -> IExport | None:
        """Return the export of this name."""
        return self._exports.get(name)

    def listed(self, path: ContentPath) -> Sequence[Listed]:
        """Join what the stores show; the first that has a name is the one that serves it."""
        return self._contents.listed(path)

    def export_names(self) -> Collection[str]:
        """Return the names of all exports."""
        return self._exports.keys()

    def sign(self, body: bytes, purpose: str) -> bytes:
        """Sign with the key of the tokens."""
        return self.tokens.sign(body, purpose)

    def choose(self, identity: ClientIdentity, entry: str, now: float) -> None:
        """Let an entry of a machine's menu be its plan for this boot."""
        self._decisions.choose(identity, entry, now)

    def attend(self, observer: IBootObserver) -> None:
        """Let a part of the server hear every event as well."""
        self._attending.append(observer)

    @property
    def observed(self) -> bool:
        """Whether anybody hears of events."""
        return bool(self._attending or self._observers)

    def tell(self, event: BootEvent) -> None:
        """Pass an event to every observer; one that breaks hinders nobody."""
        for attending in self._attending:
            attending.notice(event)
        for name, observer in self._observers:
            try:
                notice: Callable[[BootEvent], object] = observer.notice
                if iscoroutine(returned := notice(event)):
                    returned.close()
                    raise TypeError("notice must not be async: nobody awaits it")
            except Exception as error:
                self._bugs.note(f"observer {name}", error)
