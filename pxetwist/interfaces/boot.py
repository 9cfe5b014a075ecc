"""What services ask: who a machine is, what it gets, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv6Address

from zope.interface import Attribute, Interface

from pxetwist.file_tree import IExport
from pxetwist.interfaces.content import IContent
from pxetwist.interfaces.services import IBootObserver
from pxetwist.interfaces.state import ILeaseStore
from pxetwist.model.answer import Answer
from pxetwist.model.boot import BootFile, BootRequest, BootStage, Edition, Login, Resolution
from pxetwist.model.boots import SanDisk
from pxetwist.model.content import ContentPath, Listed
from pxetwist.model.event import BootEvent
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.redemption import AnswerQuestion, Redemption
from pxetwist.model.report import MachineReport


class IBoot(Interface):
    """The one answer behind all protocols; every plugin can ask it through its site."""

    rehearsal: bool = Attribute("whether nothing takes effect, as in `pxetwist explain`")
    leases: ILeaseStore = Attribute("the state's leases; there from the start of the services on")

    async def resolve(request: BootRequest) -> Resolution:
        """Find machine and plan. Never raises: what broke is a silence with its reason."""

    def edition() -> Edition:
        """Return by which editions of directories and policies it decides now (`ISteady`)."""

    def confirm(
        identity: ClientIdentity, resolution: Resolution, edition: Edition, now: float
    ) -> str:
        """Let a machine be given the same decision once more: note that it was seen, as for a new
        request, and return its boot id. Empty: the decision does not stand, it must be resolved.
        """

    async def open(path: ContentPath, request: BootRequest) -> IContent:
        """Open a content from the first store that has it, for a resolved request.

        :raises ContentNotFound: if no store has it.
        :raises ContentDenied: if it is not for this request.
        """

    def lasts(path: ContentPath, content: IContent, request: BootRequest) -> bool:
        """Return whether this content, which was opened just now, is what would be opened for this
        request as long as that stands.
        """

    def stands(request: BootRequest, edition: Edition) -> bool:
        """Return whether a request for content that was resolved by an edition would be resolved
        in the same way now, and to open what it wants would begin nothing.
        """

    def listed(path: ContentPath) -> Sequence[Listed]:
        """Return what stores show of a folder, by name.

        :raises ContentNotFound: if none shows it.
        """

    async def identify(address: str, now: float) -> tuple[ClientIdentity, str]:
        """Return who speaks from this address, as far as we know, and the id of its boot.

        Known from what was answered lately, else from leases, else from the kernel's neighbour
        table; an identity with nothing but the address if from none of them.
        """

    def see(identity: ClientIdentity, stage: BootStage, now: float) -> str:
        """Note that this machine is at this stage; return the id of its boot."""

    def locate(address: IPv4Address | IPv6Address, identity: ClientIdentity, now: float) -> None:
        """Note that this machine speaks from this address."""

    def seen_at(address: str, now: float) -> bool:
        """Return whether a machine was seen at this address lately, without asking anybody."""

    def boot_file(request: BootRequest, now: float) -> BootFile | None:
        """Choose the first file for a resolved request of firmware or loader.

        `None`: this client starts nothing, or there is no loader for it.
        """

    def looping(identity: ClientIdentity, now: float) -> bool:
        """Whether this machine's iPXE was stopped for loading iPXE over and over."""

    def script_base(request: BootRequest, now: float) -> str:
        """Return the URL below which this machine's scripts are; nobody else knows it."""

    async def authenticate(guard: str, login: Login) -> Collection[str] | None:
        """Let a directory check a person's password: the person's groups, or `None`.

        :raises DirectoryUnavailable: if it cannot be asked, or checks no passwords.
        """

    def redeem(token: str, now: float, purpose: str = "") -> tuple[ClientIdentity, str] | None:
        """Return the identity and boot id that a URL was made for: a script's, or that of a
        `purpose`. `None`: it is not ours, was made for something else, or is too old.
        """

    def token(request: BootRequest, purpose: str, now: float) -> str:
        """Return the part of a URL by which :meth:`redeem` knows this machine, in this boot, for a
        purpose; good for a day. Empty for a machine without a MAC.
        """

    def report_url(request: BootRequest, topic: str, now: float) -> str:
        """Return the URL at which this machine, in this boot, may report on a topic; empty for a
        machine without a MAC.
        """

    async def answer_folder(request: BootRequest, answer: Answer, now: float) -> str:
        """Return the URL below which this machine, in this boot and at its present address, finds
        the files of an answer; empty for a machine without a MAC.
        """

    async def judge_answer(question: AnswerQuestion, now: float) -> Redemption:
        """Judge who asks for a file of an answer; nothing is given yet.

        :raises AnswerRefused: if it is not to be given; observers are told.
        """

    async def redeem_answer(redemption: Redemption, now: float) -> None:
        """Note that an answer is given, and tell observers; must be called before any of it
        leaves, and when it is there.

        :raises AnswerRefused: if it is given once, and was; observers are told.
        :raises StateUnavailable: if it is given once, and that cannot be stored.
        """

    async def settle_answer(redemption: Redemption, *, whole: bool) -> None:
        """Note how an answer that was redeemed ended; must be called after each."""

    async def hear(report: MachineReport) -> str | None:
        """Pass a report to the policies; return the answer to the machine, `None`: not wanted.

        :raises StateUnavailable: if it cannot be stored.
        """

    async def begin(request: BootRequest) -> BootRequest:
        """Put the plan of a resolved request into effect; return the request with the plan that
        holds, which may be another one by now.

        :raises ContentNotFound: if there is no plan any more.
        :raises PolicyError: if that cannot be known now.
        """

    def reserved_addresses() -> Collection[IPv4Address | IPv6Address]:
        """Return what directories have promised to machines."""

    def remembers(mac: str) -> bool:
        """Return whether a directory or the leases know this MAC, without asking anybody."""

    def disk(request: BootRequest) -> SanDisk | None:
        """Return the iSCSI disk of a resolved request; `None`: there is none, or no store that
        knows its name.

        :raises PolicyError: if the profile makes no names of it.
        """

    def export(name: str) -> IExport | None:
        """Return the export of this name, if the INI has one; ask once the services start."""

    def export_names() -> Collection[str]:
        """Return the names of all exports."""

    def sign(body: bytes, purpose: str) -> bytes:
        """Return 12 bytes that nobody else can make, always the same for a body and a purpose."""

    def choose(identity: ClientIdentity, entry: str, now: float) -> None:
        """Note which entry of its menu a machine's firmware shows as chosen: it holds for this
        boot. An empty one takes that back.
        """

    observed: bool = Attribute("whether anybody hears of events (`tell`)")

    def attend(observer: IBootObserver) -> None:
        """Let a part of the server hear every event as well."""

    def tell(event: BootEvent) -> None:
        """Pass an event to every observer."""
