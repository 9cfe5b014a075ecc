"""Files of a mirror: fetched once for all who want them, kept, and asked for again in time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import implementer

from pxetwist.content.cache_folder import CacheFolder, Record
from pxetwist.content.digests import read_digests
from pxetwist.content.directory import File, media_type_of
from pxetwist.content.fetches import ArrivingFile, Fetch, Receiver
from pxetwist.content.mirror import Mirror, MirrorAway, MirrorError
from pxetwist.content.waiting import Signal
from pxetwist.errors import ContentNotFound, StartError
from pxetwist.interfaces import IContent, IContentStore, Site
from pxetwist.model.boot import BootRequest
from pxetwist.model.content import ContentInfo, ContentPath
from pxetwist.threads import Threads

_MOST_FETCHES = 32
_MOST_PAUSED = 1000
_PAUSE = 30.0  # seconds in which a mirror that is away, or lacks a file, is not asked again
_ABSENT = (404, 410)


@attrs.frozen
class Trust:
    """What files must be: their digests by path, and the mirror's list of more, if any."""

    sha256: Mapping[str, str]
    sums: ContentPath | None = None


@implementer(IContentStore)
class UpstreamStore(Service):
    """Serves what its mirror has, and what it had while it is away."""

    def __init__(
        self,
        mirror: Mirror,
        cache: CacheFolder,
        site: Site,
        *,
        trust: Trust,
        fresh: float,
        close: Callable[[], Deferred[object]],
    ) -> None:
        self._mirror = mirror
        self._cache = cache
        self._site = site
        self._trust = trust
        self._fresh = fresh
        self._close = close
        self._threads = Threads(site.reactor, f"content {site.name}", 2)
        self._fetches: dict[str, Fetch] = {}
        self._ended = Signal()  # wakes who waits until there are fewer
        self._running: set[Deferred[None]] = set()
        self._paused: dict[str, float] = {}
        self._away_until = 0.0
        self._listed: tuple[str, Mapping[str, str]] = ("", {})

    def startService(self) -> None:
        """Look what is kept.

        :raises StartError: if the folder cannot be used.
        """
        super().startService()
        try:
            self._cache.load()
        except OSError as error:
            raise StartError(f"[content:{self._site.name}] cache: {error}") from error

    def stopService(self) -> Deferred[list[tuple[bool, Any]]]:
        """Fire when nothing is on its way any more."""
        super().stopService()
        for running in list(self._running):
            running.cancel()
        stopping: list[Deferred[Any]] = [self._close()]
        threads = self._threads.stop()
        if threads is not None:
            stopping.append(threads)
        return DeferredList(stopping)

    async def open(self, path: ContentPath, request: BootRequest) -> IContent:
        """Open a file of the mirror."""
        if self._site.boot.rehearsal:
            raise ContentNotFound(f"{path}: the mirror is not asked for a rehearsal")
        return await self._open(path, await self._digest(path))

    async def _open(self, path: ContentPath, digest: str) -> IContent:
        key = str(path)
        while True:
            record = self._kept(key, digest)
            if record is not None and (self._is_fresh(record) or self._pauses(key)):
                content = self._file(record)
                if content is not None:
                    return content
            elif self._pauses(key):
                raise ContentNotFound(f"{path}: the mirror was asked a moment ago, in vain")
            fetch = self._fetches.get(key)
            if fetch is not None or len(self._fetches) < _MOST_FETCHES:
                break
            await self._ended.wait()
            if not self.running:
                raise ContentNotFound(f"{path}: the server stops")
        fetch = fetch or self._begin(path, record, digest)
        while not fetch.over and fetch.part is None:
            await fetch.signal.wait()
        if fetch.part is not None and fetch.info is not None and not fetch.over:
            return ArrivingFile(fetch, fetch.info, os.dup(fetch.part.descriptor))
        record = self._kept(key, digest)
        content = None if record is None else self._file(record)
        if content is None:
            raise ContentNotFound(f"{self._mirror.url_of(path)}: {fetch.failure or 'gone'}")
        return content

    async def _digest(self, path: ContentPath) -> str:
        """Return the digest that a file must have; empty if any will do.

        :raises ContentNotFound: if the mirror's list must name it, and does not.
        """
        key, sums = str(path), self._trust.sums
        if key in self._trust.sha256:
            return self._trust.sha256[key]
        if sums is None or path == sums:
            return ""
        content = await self._open(sums, "")
        try:
            if self._listed[0] != content.info.tag:
                text = await content.read(0, content.info.size)
                listed = read_digests(text.decode("utf-8", "replace"), sums.folder)
                self._listed = (content.info.tag, listed)
        finally:
            content.close()
        if key not in self._listed[1]:
            raise ContentNotFound(f"{path} is not in {sums}")
        return self._listed[1][key]

    # What is kept

    def _now(self) -> float:
        now: float = self._site.reactor.seconds()
        return now

    def _kept(self, key: str, digest: str) -> Record | None:
        record = self._cache.get(key)
        return record if record and digest in ("", record.sha256) else None

    def _is_fresh(self, record: Record) -> bool:
        return self._now() - record.checked < self._fresh

    def _file(self, record: Record) -> IContent | None:
        descriptor = self._cache.open(record, self._now())
        if descriptor is None:
            return None
        kind = media_type_of(record.path)
        return File(descriptor, ContentInfo(record.size, record.modified, record.tag, kind))

    def _pauses(self, key: str) -> bool:
        return self._now() < max(self._away_until, self._paused.get(key, 0.0))

    def _pause(self, key: str) -> None:
        self._paused.pop(key, None)
        self._paused[key] = self._now() + _PAUSE
        if len(self._paused) > _MOST_PAUSED:
            del self._paused[next(iter(self._paused))]

    # What is fetched

    def _begin(self, path: ContentPath, record: Record | None, digest: str) -> Fetch:
        fetch = self._fetches[str(path)] = Fetch()
        running = Deferred.fromCoroutine(self._run(path, fetch, record, digest))
        self._running.add(running)
        running.addBoth(lambda _: self._running.discard(running))
        return fetch

    async def _run(
        self, path: ContentPath, fetch: Fetch, record: Record | None, digest: str
    ) -> None:
        failure = ""
        try:
            await self._fetch(path, fetch, record, digest)
        except CancelledError:
            failure = "the server stops"
        except (MirrorError, OSError) as error:
            failure = str(error)
            self._pause(str(path))
            kept = "what was fetched before is served" if record else "there is nothing to serve"
            told = {"url": self._mirror.url_of(path), "error": error, "kept": kept}
            self._site.log.warn("{url}: {error}; {kept}", **told)
        except Exception:
            failure = "internal trouble"
            self._site.log.failure("Fetching {path} failed", path=path)
        del self._fetches[str(path)]
        fetch.end(failure)
        self._ended.wake()

    async def _fetch(
        self, path: ContentPath, fetch: Fetch, record: Record | None, digest: str
    ) -> None:
        try:
            response = await self._mirror.get(path, _conditions(record))
        except MirrorAway:
            self._away_until = self._now() + _PAUSE
            raise
        if response.code == 200:
            await self._receive(path, fetch, response, digest)
            return
        self._mirror.leave(response)
        if response.code == 304 and record is not None:
            self._cache.note(attrs.evolve(record, checked=self._now()))
        elif response.code in _ABSENT:
            self._cache.drop(str(path))
            self._pause(str(path))
        else:
            phrase = response.phrase.decode("ascii", "replace")
            said = phrase if phrase.isprintable() else ""
            raise MirrorError(f"the answer is {response.code} {said}".rstrip())

    async def _receive(
        self, path: ContentPath, fetch: Fetch, response: IResponse, digest: str
    ) -> None:
        """Take a file; it is shown while it arrives if nobody must look at its digest first."""
        part = self._cache.begin()
        try:
            size = None if response.length is UNKNOWN_LENGTH else int(response.length)
            if not self._cache.reserve(part, size or 0):
                self._mirror.leave(response)
                raise MirrorError(f"{size} bytes are more than the cache may have")
            record = _record(part.name, path, response, self._now())
            if size is not None and not digest:
                kind = media_type_of(path.name)
                fetch.info = ContentInfo(size, record.modified, record.tag, kind)
                fetch.part = part
                fetch.signal.wake()
            receiver = Receiver(fetch, part, partial(self._cache.reserve, part))
            await self._mirror.take(response, receiver.write)
            found = receiver.digest.hexdigest()
            if digest not in ("", found):
                self._doubt_list()
                raise MirrorError(f"its SHA-256 is {found}, and should be {digest}")
            record = attrs.evolve(record, size=fetch.received, sha256=found)
            await self._threads.run(self._cache.finish, part, record)
        except BaseException:
            self._cache.discard(part)
            raise
        self._cache.settle(part, record)

    def _doubt_list(self) -> None:
        """Ask for the list of digests again: the mirror may have new files by now."""
        sums = self._trust.sums
        record = self._cache.get(str(sums)) if sums else None
        if record is not None:
            self._cache.note(attrs.evolve(record, checked=0.0))


def _conditions(record: Record | None) -> Mapping[str, str]:
    """Return headers by which the mirror can say that nothing has changed (RFC 9110 §13)."""
    if record is None:
        return {}
    told = {"If-None-Match": record.etag, "If-Modified-Since": record.last_modified}
    return {name: value for name, value in told.items() if value}


def _record(name: str, path: ContentPath, response: IResponse, now: float) -> Record:
    """Return what the mirror says of a file that is about to come."""
    etag, last_modified = (_header(response, name) for name in ("ETag", "Last-Modified"))
    try:
        modified = parsedate_to_datetime(last_modified).timestamp()
    except (ValueError, OverflowError):
        modified, last_modified = 0.0, ""
    marks = f"{path}\n{etag}\n{last_modified}\n{response.length}"
    tag = hashlib.sha256(marks.encode("utf-8", "replace")).hexdigest()[:32]
    return Record(
        name,
        str(path),
        0,
        "",
        now,
        modified,
        tag if etag or last_modified else name,
        etag,
        last_modified,
    )


def _header(response: IResponse, name: str) -> str:
    values = response.headers.getRawHeaders(name.encode()) or [b""]
    text = values[0].decode("latin-1")
    return text if text.isprintable() else ""
