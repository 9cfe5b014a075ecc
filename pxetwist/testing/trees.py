"""What every tree of an export must do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from zope.interface.verify import verifyObject

from pxetwist.errors import TreeNotFound, TreeStale, TreeWrongKind
from pxetwist.file_tree import IFileData, IFileTree
from pxetwist.model.file_tree import FIRST_COOKIE, KEY_SIZE, FileKind
from pxetwist.testing.contracts import Contract

_FILES = {"a/b/deep": b"deep", "a/one": b"1", "a/two": b"22", "top": bytes(range(256)) * 40}


def walk(tree: IFileTree, path: str, key: bytes = b"") -> bytes:
    """Return the key of a path, from the root or a directory on."""
    key = key or tree.root()
    for name in path.split("/"):
        key = tree.look_up(key, name.encode())
    return key


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
