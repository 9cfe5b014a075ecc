"""What every tree of an export must do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import partial

import attrs
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pxetwist.errors import TreeNotFound, TreeStale, TreeWrongKind
from pxetwist.exports.nodes import Node, NodeTree, file_id, key_below, root_key
from pxetwist.exports.open_files import BytesData
from pxetwist.file_tree import IExport, IFileData, IFileTree
from pxetwist.model.boot import BootRequest
from pxetwist.model.file_tree import FIRST_COOKIE, KEY_SIZE, FileAttributes, FileKind
from pxetwist.testing.contracts import Contract

#: What is in a directory, by path: the bytes of a file, the target of a link, an empty directory.
Files = Mapping[str, bytes | str | None]

_FILES = {"a/b/deep": b"deep", "a/one": b"1", "a/two": b"22", "top": bytes(range(256)) * 40}


def walk(tree: IFileTree, path: str, key: bytes = b"") -> bytes:
    """Return the key of a path, from the root or a directory on."""
    key = key or tree.root()
    for name in path.split("/"):
        key = tree.look_up(key, name.encode())
    return key


def memory_tree(files: Files, prefix: bytes = b"") -> NodeTree:
    """Return a tree in memory, of files by their paths; `prefix` is that of its keys."""
    top = root_key(prefix)
    children: dict[bytes, dict[bytes, bytes]] = {top: {}}
    nodes: dict[bytes, Node] = {}
    for path, content in files.items():
        key = top
        for name in path.encode().split(b"/"):
            above, key = key, key_below(prefix, key, name)
            children.setdefault(above, {})[name] = key
            facts = FileAttributes(FileKind.DIRECTORY, 0o755, file_id(key))
            nodes.setdefault(key, Node(facts, above, name))
        match content:
            case None:
                children.setdefault(key, {})
            case str():
                facts = attrs.evolve(facts, kind=FileKind.SYMLINK, size=len(content.encode()))
                nodes[key] = attrs.evolve(nodes[key], facts=facts, target=content.encode())
            case bytes():
                facts = attrs.evolve(facts, kind=FileKind.REGULAR, size=len(content), mode=0o644)
                opener = partial(BytesData, content)
                nodes[key] = attrs.evolve(nodes[key], facts=facts, open=opener)
    nodes[top] = Node(FileAttributes(FileKind.DIRECTORY, 0o755, file_id(top)))
    for key, inside in children.items():
        nodes[key] = attrs.evolve(nodes[key], children=inside)
    return NodeTree(nodes, prefix)


@implementer(IExport)
@attrs.frozen
class MemoryExport:
    """Trees by the names of machines; that of "" is for all others."""

    trees: Mapping[str, IFileTree]

    def tree(self, request: BootRequest) -> IFileTree:
        """Return the tree of the machine that asks."""
        name = request.machine.name if request.machine else ""
        found = self.trees.get(name) or self.trees.get("")
        if found is None:
            raise TreeNotFound(f"no tree for {name}")
        return found


class FileTreeContract(Contract):
    """Of an `IFileTree`."""

    @abstractmethod
    def make_tree(self, files: Mapping[str, bytes]) -> IFileTree:
        """Return a tree of files by their paths."""

    def test_it_provides_the_interface(self) -> None:
        """All that is read is there."""
        tree = self.make_tree(_FILES)
        verifyObject(IFileTree, tree)
        data = tree.open(walk(tree, "top"))
        verifyObject(IFileData, data)
        data.close()

    def test_files_are_found_and_read(self) -> None:
        """Names, sizes and bytes are those of the files, and keys fit into handles."""
        tree = self.make_tree(_FILES)
        for path, content in _FILES.items():
            key = walk(tree, path)
            self.assertLessEqual(len(key), KEY_SIZE)
            self.assertEqual(key, walk(tree, path))
            facts = tree.attributes(key)
            self.assertEqual((facts.kind, facts.size), (FileKind.REGULAR, len(content)))
            data = tree.open(key)
            self.assertEqual(data.size, len(content))
            self.assertEqual(data.read(0, 100_000), content)
            self.assertEqual(data.read(1, 2), content[1:3])
            self.assertEqual(data.read(len(content), 9), b"")
            data.close()
            data.close()

    def test_directories(self) -> None:
        """Everything in a directory is told once, from any cookie on, and leads back up."""
        tree = self.make_tree(_FILES)
        root, a = tree.root(), walk(tree, "a")
        self.assertEqual(tree.attributes(a).kind, FileKind.DIRECTORY)
        found = list(tree.entries(a, 0))
        self.assertEqual({each.name for each in found}, {b"b", b"one", b"two"})
        cookies = [each.cookie for each in found]
        self.assertEqual(cookies, sorted(set(cookies)))
        self.assertGreaterEqual(cookies[0], FIRST_COOKIE)
        self.assertLess(cookies[-1], 1 << 63)
        listed = list(tree.listing(a).after(0))
        self.assertEqual(listed, [(each.cookie, each.name) for each in found])
        for place, each in enumerate(found):
            self.assertEqual(each.key, tree.look_up(a, each.name))
            self.assertEqual(list(tree.entries(a, each.cookie)), found[place + 1 :])
        self.assertEqual(tree.parent(walk(tree, "a/b")), a)
        self.assertEqual(tree.parent(a), root)
        self.assertEqual(tree.parent(root), root)
        self.assertEqual(tree.place(root), ())
        self.assertEqual(tree.place(walk(tree, "a/b")), (b"a", b"b"))
        kinds = [tree.attributes(key) for key in (root, *(each.key for each in found))]
        self.assertEqual(len({each.fileid for each in kinds}), 4)

    def test_what_is_not_there(self) -> None:
        """Other names, wrong kinds and invented keys are refused."""
        tree = self.make_tree(_FILES)
        root, top = tree.root(), walk(tree, "top")
        for name in (b"no", b"", b".", b"..", b"a/one", b"a\0", b"x" * 300):
            with self.assertRaises(TreeNotFound, msg=name):
                tree.look_up(root, name)
        for refused in (
            lambda: tree.look_up(top, b"x"),
            lambda: list(tree.entries(top, 0)),
            lambda: tree.parent(top),
            lambda: tree.place(top),
            lambda: tree.listing(top),
            lambda: tree.link_target(top),
            lambda: tree.open(root),
        ):
            self.assertRaises(TreeWrongKind, refused)
        for key in (b"", b"\0", b"\1", b"x" * KEY_SIZE, bytes(12), top[:-1]):
            self.assertRaises(TreeStale, tree.attributes, key)
