"""What the services of files have in common: requests for content, and the events about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from pxetwist.errors import ContentDenied, ContentError, ContentIncomplete, PxeError
from pxetwist.interfaces import Site
from pxetwist.model.boot import BootRequest, BootStage, Endpoints, Protocol, Resolution, Verdict
from pxetwist.model.content import ContentPath
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.model.identity import ClientIdentity

#: Of more characters than this no log needs to know.
_LONGEST = 1000
#: What loaders look for and may well not find; their absence is no news (shim, GRUB, PXELINUX,
#: iPXE, Raspberry Pi, Windows probe 10-20 names per boot). By PXE over IPv6 shim forgets a slash:
#: ``loadersrevocations_sku.efi``.
_PROBE = re.compile(
    r"(.*/)?(autoexec\.ipxe|grub\.cfg-[^/]*|pxelinux\.cfg/(?!default$).*|[^/]*revocations[^/]*"
    r"|(?i:[^/]*\.ttf|BCD\.[^/]*)|[^/]*shim_certificate[^/]*|bootcfg\.txt|recovery\.(elf|bin)"
    r"|(autoboot|tryboot)\.txt|bootsig\.bin|dt-blob\.bin|(pieeprom|vl805)\.(sig|upd|bin)|unicode\.pf2|[^/]*\.(lst|mod|mo))"
)


def content_request(
    site: Site,
    protocol: Protocol,
    path: ContentPath,
    *,
    identity: ClientIdentity,
    boot_id: str,
    local: str,
) -> BootRequest:
    """Make the request of a loader for a path; `local` is the address of ours that it asked.

    URLs have it without the interface of a link-local one: that is a name of ours.
    """
    return BootRequest(
        identity=identity,
        stage=BootStage.LOADER,
        protocol=protocol,
        wanted=_for_people(path),
        endpoints=_endpoints(local, site.http_port),
        boot_id=boot_id,
    )


@lru_cache
def _endpoints(local: str, http_port: int) -> Endpoints:
    return Endpoints(local.partition("%")[0], http_port)


def _for_people(path: ContentPath) -> ContentPath:
    """Return a path without the token that is in those of installers' files and of reports: no
    log has it.
    """
    match path.parts:
        case ("install", profile, _, file):
            return ContentPath(("install", profile, file))
        case ("answer", _, file):
            return ContentPath(("answer", file))
        case ("callback" | "discover" as topic, _, *rest):
            return ContentPath((topic, *rest))
    return path


def tell(
    site: Site,
    request: BootRequest,
    kind: EventKind,
    summary: str,
    details: Mapping[str, object],
) -> None:
    """Pass an event of a request for content to the observers."""
    tell_of(site, request, kind, summary, {"path": str(request.wanted), **details})


def tell_of(
    site: Site,
    request: BootRequest,
    kind: EventKind,
    summary: str,
    details: Mapping[str, object],
) -> None:
    """Pass an event of any request to the observers; what clients ask for may be of 64 KiB."""
    if len(summary) > _LONGEST:
        summary = f"{summary[:_LONGEST]}\u2026"
    machine = request.machine.name if request.machine else str(request.identity)
    site.boot.tell(
        BootEvent(
            time=site.reactor.seconds(),
            kind=kind,
            protocol="https" if request.secure else request.protocol.value,
            machine=machine,
            boot_id=request.boot_id,
            stage=request.stage.value,
            summary=summary,
            details=details,
        )
    )


def tell_missing(site: Site, resolution: Resolution, error: ContentError) -> None:
    """Say that there is no such file, and what is to be mended, if that is known: what broke if
    the machine has none for want of a plan, or what it would be made from, or why one that is
    there is not given. `debug` marks the well-known probes of loaders.
    """
    request = resolution.request
    path = str(request.wanted)
    debug = _PROBE.fullmatch(path) is not None
    what, reason = "no such file", ""
    if resolution.verdict is Verdict.BROKEN:
        reason = f"it has no plan: {resolution.reason}"
    elif isinstance(error, ContentIncomplete):
        reason = str(error)
    elif isinstance(error, ContentDenied):
        what, reason = "did not give", str(error)
    summary = f"{what}: {path}" + (f"; {reason}" if reason else "")
    details = {"debug": debug, "missing": True, "reason": reason}
    tell(site, request, EventKind.FAILED, summary, details)


def tell_failed(site: Site, request: BootRequest, error: PxeError) -> None:
    """Say what is wrong with a plan or its template: the mend is a person's."""
    tell(site, request, EventKind.FAILED, f"{request.wanted}: {error}", {})


def tell_refused(site: Site, request: BootRequest, error: ContentError) -> None:
    """Say why a file was not taken."""
    tell(site, request, EventKind.FAILED, f"did not take {request.wanted}: {error}", {})


def tell_sent(
    site: Site,
    request: BootRequest,
    octets: int,
    size: int,
    *,
    seconds: float,
    whole: bool,
    more: Mapping[str, object] = MappingProxyType({}),
    why: str = "the connection is lost",
) -> None:
    """Say how a transfer of `size` bytes ended, of which so many were sent, and `why` not all;
    programs are told `more`.
    """
    path = request.wanted
    if whole:
        kind, summary = EventKind.ENDED, f"sent {transferred(path, octets, seconds)}"
    else:
        done, total = octets_text(octets), octets_text(size)
        kind = EventKind.FAILED
        summary = f"stopped sending {path} after {done} of {total}: {why}"
    details = {
        "bytes": octets,
        "size": size,
        "seconds": seconds,
        "rate": octets / seconds / 1e6 if seconds else 0.0,  # MB/s
    }
    tell(site, request, kind, summary, {**details, **more})


def transferred(path: ContentPath | None, octets: int, seconds: float) -> str:
    """Describe a transfer: ``loaders/snponly.efi, 216.5 KiB in 0.08 s``."""
    return f"{path}, {octets_text(octets)} in {seconds:.2f} s"


def octets_text(octets: int) -> str:
    """Spell a number of bytes for people."""
    amount = float(octets)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
