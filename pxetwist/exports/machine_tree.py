"""The files of one machine: its own over those of its groups over those of all."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import attrs
from twisted.logger import Logger
from zope.interface import implementer

from pxetwist.errors import TreeDenied, TreeStale
from pxetwist.exports.machine_folders import Folder, Source, Sources
from pxetwist.exports.machine_texts import MachineTexts, Subject
from pxetwist.exports.nodes import Node, NodeTree, TablesTree, file_id, key_below, root_key
from pxetwist.exports.open_files import BytesData, facts_of
from pxetwist.exports.path_patterns import PathPatterns
from pxetwist.file_tree import IFileData, IFileTree
from pxetwist.model.file_tree import FileAttributes, FileKind

_SECOND = 1_000_000_000
_PREFIX = 8


@implementer(IFileTree)
class MachineTree(TablesTree):
    """Keys begin with a mark of the machine: they are worth nothing to another one."""

    def __init__(self, name: str, texts: MachineTexts, secrets: PathPatterns, log: Logger) -> None:
        self._name = name
        self._texts = texts
        self._secrets = secrets
        self._log = log
        self._prefix = hashlib.blake2b(name.encode(), digest_size=_PREFIX).digest()
        self._subject = Subject(None, "")
        self._folders: Sequence[Folder] = ()
        self._made_of: Sequence[Sources] = ()
        self._table: NodeTree | None = None

    def show(self, subject: Subject, folders: Sequence[Folder]) -> None:
        """Let it be the files of a machine, of these folders, the upper ones first."""
        if (subject, folders) != (self._subject, self._folders):
            self._subject, self._folders, self._table = subject, folders, None

    def root(self) -> bytes:
        """Return the key of the topmost directory."""
        return root_key(self._prefix)

    def table(self, key: bytes) -> NodeTree:
        """Return the files as they are now."""
        if key[:_PREFIX] != self._prefix:
            raise TreeStale("it is a key of another machine")
        found = [folder.sources() for folder in self._folders]
        same = all(a is b for a, b in zip(found, self._made_of, strict=False))
        if self._table is None or not same:
            self._made_of = found
            self._table = NodeTree(self._nodes(_merged(found)), self._prefix)
        return self._table

    def _nodes(self, sources: Sources) -> Mapping[bytes, Node]:
        top = self.root()
        keys: dict[tuple[bytes, ...], bytes] = {(): top}
        children: dict[bytes, dict[bytes, bytes]] = {top: {}}
        nodes = {top: Node(FileAttributes(FileKind.DIRECTORY, 0o755, file_id(top)))}
        for names in sorted(sources):
            above = keys[names[:-1]]
            keys[names] = key = key_below(self._prefix, above, names[-1])
            node = self._node(key, names, sources[names])
            nodes[key] = attrs.evolve(node, parent=above, name=names[-1])
            children[above][names[-1]] = key
            if node.facts.kind is FileKind.DIRECTORY:
                children[key] = {}
        for key, inside in children.items():
            facts = _told_by(nodes[key].facts, b"/".join(inside))
            nodes[key] = attrs.evolve(nodes[key], facts=facts, children=inside)
        return nodes

    def _node(self, key: bytes, names: tuple[bytes, ...], source: Source) -> Node:
        facts = self._owned(names, facts_of(source.facts, file_id(key)))
        match facts.kind:
            case FileKind.SYMLINK:
                return Node(facts, target=_target(source))
            case FileKind.REGULAR if source.template:
                return self._filled(facts, source)
            case FileKind.REGULAR:
                return Node(facts, open=source.open)
        return Node(facts)

    def _owned(self, names: tuple[bytes, ...], facts: FileAttributes) -> FileAttributes:
        """Let everything be root's, and secrets for nobody else."""
        secret = any(self._secrets.match(names[:depth]) for depth in range(1, len(names) + 1))
        mode = facts.mode & 0o700 if secret else facts.mode
        return attrs.evolve(facts, mode=mode, uid=0, gid=0, links=1)

    def _filled(self, facts: FileAttributes, source: Source) -> Node:
        """Return the node of a template."""
        try:
            text = self._texts.render(source, self._subject)
        except ValueError as error:
            file, why = os.fsdecode(source.file), str(error)
            self._log.error(
                "Cannot make {file} for {who}: {why}", file=file, who=self._name, why=why
            )
            return Node(attrs.evolve(facts, size=0), open=partial(_refuse, why))
        facts = attrs.evolve(_told_by(facts, text), size=len(text), used=len(text))
        return Node(facts, open=partial(BytesData, text))


def _told_by(facts: FileAttributes, content: bytes) -> FileAttributes:
    """Return facts whose time is another one for another content: clients look at nothing else."""
    digest = hashlib.blake2b(content, digest_size=8).digest()
    when = facts.mtime // _SECOND * _SECOND + int.from_bytes(digest, "big") % _SECOND
    return attrs.evolve(facts, mtime=when, ctime=when)


def _target(source: Source) -> bytes:
    try:
        return os.readlink(source.file)
    except OSError:
        return b""  # it is gone since, as will be seen in a second


def _refuse(why: str) -> IFileData:
    raise TreeDenied(why)


def _is_directory(source: Source) -> bool:
    return stat.S_ISDIR(source.facts.st_mode)


def _merged(layers: Iterable[Sources]) -> Sources:
    """Lay sources over one another, the upper ones first; of a directory over a file, and of a
    file over a directory, only the upper one is there.
    """
    merged: dict[tuple[bytes, ...], Source] = {}
    for sources in layers:
        upper = dict(merged)
        for names, source in sources.items():
            parents = (names[:depth] for depth in range(1, len(names)))
            if names not in upper and not any(
                each in upper and not _is_directory(upper[each]) for each in parents
            ):
                merged[names] = source
    return merged
