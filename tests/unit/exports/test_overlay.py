"""Layers over one another: against a model, and what must not lead out of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pxetwist.config.fields import Line
from pxetwist.errors import (
    ConfigError,
    Location,
    TreeDenied,
    TreeNotFound,
    TreeStale,
    TreeWrongKind,
)
from pxetwist.exports.layers import Layer
from pxetwist.exports.overlay import OverlayExport, Settings, VersionedOverlayExport, build
from pxetwist.exports.overlay_tree import OverlayTree
from pxetwist.exports.path_patterns import PathPatterns
from pxetwist.file_tree import IExport, IFileTree, IVersioned
from pxetwist.model.boot import BootRequest, BootStage, Protocol
from pxetwist.model.file_tree import KEY_SIZE, FileKind
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.testing import FakeBoot, make_site
from pxetwist.testing.trees import Files, MemoryExport, memory_tree, walk

#: What is in a directory: bytes, the target of a link, or a directory.
Model = dict[str, Any]

_names = st.sampled_from(["a", "b", "c"])
_leaves = st.one_of(st.binary(max_size=3), st.just("../../b"))
_models = st.recursive(
    st.dictionaries(_names, _leaves, max_size=3),
    lambda inner: st.dictionaries(_names, st.one_of(_leaves, inner), max_size=3),
    max_leaves=12,
)
_patterns = st.lists(_names | st.just("*"), min_size=1, max_size=3).map(
    lambda p: "/" + "/".join(p)
)


def flat(model: Model, above: str = "") -> dict[str, bytes | str | None]:
    found: dict[str, bytes | str | None] = {}
    for name, content in model.items():
        path = f"{above}{name}"
        if isinstance(content, dict):
            found[path] = None
            found |= flat(content, f"{path}/")
        else:
            found[path] = content
    return found


def without(model: Model, patterns: list[list[str]]) -> Model:
    """Leave out what is hidden."""
    kept = {}
    for name, content in model.items():
        rests = [rest for first, *rest in patterns if first in (name, "*")]
        if [] in rests:
            continue
        kept[name] = without(content, rests) if isinstance(content, dict) else content
    return kept


def laid_over(upper: Model, lower: Model) -> Model:
    merged = dict(lower) | dict(upper)
    for name in upper.keys() & lower.keys():
        if isinstance(upper[name], dict) and isinstance(lower[name], dict):
            merged[name] = laid_over(upper[name], lower[name])
    return merged


def seen(tree: IFileTree, directory: bytes) -> Model:
    """Read all of a tree, and hold what it says of one file against the rest of it."""
    found: Model = {}
    for entry in tree.entries(directory, 0):
        assert tree.look_up(directory, entry.name) == entry.key
        facts = tree.attributes(entry.key)
        name = entry.name.decode()
        if facts.kind is FileKind.DIRECTORY:
            assert tree.parent(entry.key) == directory
            assert tree.place(entry.key) == (*tree.place(directory), entry.name)
            found[name] = seen(tree, entry.key)
        elif facts.kind is FileKind.SYMLINK:
            found[name] = tree.link_target(entry.key).decode()
        else:
            found[name] = tree.open(entry.key).read(0, 100)
            assert len(found[name]) == facts.size
    return found


def overlay(
    *trees: IFileTree, hide: str = "", seconds: Any = None, names: str = "uml"
) -> OverlayTree:
    seconds = seconds or Clock().seconds
    layers = [Layer(name, tree, seconds) for name, tree in zip(names, trees, strict=False)]
    return OverlayTree(layers, PathPatterns.parse(hide), seconds)


class ModelTests(SynchronousTestCase):
    @given(
        layers=st.lists(_models, min_size=2, max_size=3),
        hide=st.lists(_patterns, max_size=2),
    )
    def test_it_is_what_the_layers_make(self, layers: list[Model], hide: list[str]) -> None:
        """Also of keys of a moment ago, whose directories are merged anew."""
        patterns = [each.split("/")[1:] for each in hide]
        expected: Model = {}
        for number, layer in reversed(list(enumerate(layers))):
            shown = without(layer, patterns) if number else layer
            expected = laid_over(shown, expected)
        clock = Clock()
        trees = [memory_tree(flat(layer)) for layer in layers]
        tree = overlay(*trees, hide="\n".join(hide), seconds=clock.seconds)
        self.assertEqual(seen(tree, tree.root()), expected)
        clock.advance(2)
        self.assertEqual(seen(tree, tree.root()), expected)

    @given(layers=st.lists(_models, min_size=2, max_size=3))
    def test_every_file_has_its_own_number_and_key(self, layers: list[Model]) -> None:
        tree = overlay(*(memory_tree(flat(layer)) for layer in layers))
        keys = [tree.root(), *keys_of(tree, tree.root())]
        self.assertEqual(len({tree.attributes(key).fileid for key in keys}), len(keys))
        self.assertEqual(len(set(keys)), len(keys))
        other = overlay(*(memory_tree(flat(layer)) for layer in layers))
        self.assertEqual([other.root(), *keys_of(other, other.root())], keys)


def keys_of(tree: IFileTree, directory: bytes) -> list[bytes]:
    found = []
    for entry in tree.entries(directory, 0):
        found.append(entry.key)
        if tree.attributes(entry.key).kind is FileKind.DIRECTORY:
            found += keys_of(tree, entry.key)
    return found


class OverlayTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.upper = memory_tree({"etc/hostname": b"ws12", "etc/own": b""})
        self.lower = memory_tree({"etc/hostname": b"image", "etc/passwd": b"root", "bin/sh": b""})
        self.tree = overlay(self.upper, self.lower, seconds=self.clock.seconds)

    def test_a_machine_with_files_of_its_own(self) -> None:
        self.assertEqual(self.tree.open(walk(self.tree, "etc/hostname")).read(0, 9), b"ws12")
        self.assertEqual(self.tree.open(walk(self.tree, "etc/passwd")).read(0, 9), b"root")

    def test_a_directory_is_the_lower_one_and_changes_with_each(self) -> None:
        etc = walk(self.tree, "etc")
        self.assertEqual(etc[2:], walk(self.lower, "etc"))
        self.assertEqual(walk(overlay(memory_tree({}), self.lower), "etc")[2:], etc[2:])
        facts = self.tree.attributes(etc)
        self.assertEqual(facts.mode, 0o755)

    def test_a_key_of_another_layer_is_stale(self) -> None:
        key = walk(self.tree, "etc/passwd")
        upper = walk(self.tree, "etc/own")
        for forged in (upper[:2] + key[2:], key[:2] + upper[2:], key[2:], b"", key[:2]):
            for ask in (self.tree.attributes, self.tree.open, self.tree.link_target):
                self.assertRaises(TreeStale, ask, forged)
        etc = walk(self.tree, "etc")
        for forged in (etc[2:], b"xx" + etc[2:]):
            self.assertRaises(TreeStale, self.tree.look_up, forged, b"passwd")
            self.assertRaises(TreeStale, list, self.tree.entries(forged, 0))

    def test_nothing_leads_out(self) -> None:
        lower = memory_tree({"up": "..", "out": "/etc/passwd", "a/file": b""})
        tree = overlay(memory_tree({"a/out": "../../.."}), lower)
        self.assertEqual(tree.parent(tree.root()), tree.root())
        self.assertEqual(tree.parent(walk(tree, "a")), tree.root())
        for name in (b"..", b".", b"", b"a/file"):
            self.assertRaises(TreeNotFound, tree.look_up, tree.root(), name)
        for link in ("up", "out", "a/out"):
            self.assertRaises(TreeWrongKind, tree.look_up, walk(tree, link), b"file")
            self.assertRaises(TreeWrongKind, tree.open, walk(tree, link))
        self.assertEqual(tree.link_target(walk(tree, "a/out")), b"../../..")

    def test_what_a_layer_gains(self) -> None:
        """It is seen a second later, also below keys that somebody has; cookies stay."""
        etc, before = walk(self.tree, "etc"), list(self.tree.entries(walk(self.tree, "etc"), 0))
        layers = self.tree._layers
        layers[0].tree = memory_tree({"etc/hostname": b"ws12", "etc/motd": b"!"})
        self.clock.advance(1)
        after = {each.name: each for each in self.tree.entries(etc, 0)}
        self.assertEqual(set(after), {b"hostname", b"motd", b"passwd"})
        for each in before:
            self.assertEqual(after.get(each.name, each), each)
        self.assertEqual(self.tree.open(self.tree.look_up(etc, b"motd")).read(0, 9), b"!")

    def test_keys_that_are_too_long(self) -> None:
        long = memory_tree({"f": b""}, prefix=bytes(KEY_SIZE - 9))
        tree = overlay(self.upper, long)
        self.assertRaises(TreeDenied, tree.look_up, tree.root(), b"f")
        self.assertNotIn(b"f", [each.name for each in tree.entries(tree.root(), 0)])


class HiddenTests(SynchronousTestCase):
    def test_paths_and_patterns(self) -> None:
        hidden = PathPatterns.parse("/etc/machine-id\n/var/lib/*/cache*/\n/x[12]")
        for path in ("etc/machine-id", "var/lib/a/cache", "var/lib/b/cache9", "x1"):
            self.assertTrue(hidden.match(tuple(path.encode().split(b"/"))), path)
        for path in ("etc", "machine-id", "etc/machine-id/x", "var/lib/a", "var/lib/a/b/cache"):
            self.assertFalse(hidden.match(tuple(path.encode().split(b"/"))), path)

    def test_paths_that_are_none(self) -> None:
        for wrong in ("etc", "/", "/a//b", "/a/../b", "/."):
            with self.assertRaisesRegex(ValueError, "absolute paths"):
                PathPatterns.parse(wrong)


@implementer(IVersioned)
class MemoryVersions(MemoryExport):
    image = "room"

    def place(self, version: str, path: str) -> str:
        return f"{version}/root/{path}".rstrip("/")


class ExportTests(SynchronousTestCase):
    def lines(self, *names: str) -> tuple[Line, ...]:
        return tuple(Line(name, Location("pxe.ini", 7)) for name in names)

    def make(self, exports: Mapping[str, IExport]) -> OverlayExport:
        boot = FakeBoot(exports=dict(exports))
        site = make_site(boot, exports=dict.fromkeys(exports, "directory"))
        return build(Settings(layers=self.lines(*exports)), site)

    def request(self, name: str) -> BootRequest:
        identity = ClientIdentity(mac="52:54:00:00:00:01")
        return BootRequest(identity, BootStage.ROOT, Protocol.NFS, machine=Machine(name))

    def test_each_machine_sees_its_own(self) -> None:
        own: dict[str, Files] = {name: {"name": name.encode()} for name in ("ws1", "ws2")}
        trees = {name: memory_tree(files, name.encode()) for name, files in own.items()}
        image = memory_tree({"name": b"image", "etc/passwd": b"root"})
        export = self.make({"own": MemoryExport(trees), "image": MemoryExport({"": image})})
        one, two = (export.tree(self.request(name)) for name in ("ws1", "ws2"))
        self.assertTrue(IExport.providedBy(export))
        self.assertEqual(one.open(walk(one, "name")).read(0, 9), b"ws1")
        self.assertEqual(two.open(walk(two, "name")).read(0, 9), b"ws2")
        self.assertRaises(TreeStale, two.open, walk(one, "name"))
        self.assertEqual(walk(one, "etc/passwd"), walk(two, "etc/passwd"))
        self.assertIs(export.tree(self.request("ws1")), one)
        self.assertRaises(TreeNotFound, export.tree, self.request("ws3"))

    def test_an_image_in_versions(self) -> None:
        """The export has its versions as the image has: a boot is of one of them."""
        images = memory_tree({"v1/root/name": b"image", "v1/root/a": b"1", "v2/root/a": b"2"})
        own = {
            name: memory_tree({"name": name.encode()}, name.encode()) for name in ("ws1", "ws2")
        }
        boot = FakeBoot(exports={"own": MemoryExport(own), "image": MemoryVersions({"": images})})
        site = make_site(boot, exports={"own": "machines", "image": "image"})
        export = build(Settings(layers=self.lines("own", "image")), site)
        assert isinstance(export, VersionedOverlayExport)
        verifyObject(IVersioned, export)
        self.assertEqual((export.image, export.place("v1", "usr")), ("room", "v1/root/usr"))
        one, two = (export.tree(self.request(name)) for name in ("ws1", "ws2"))
        for tree, name in ((one, b"ws1"), (two, b"ws2")):
            self.assertEqual(tree.open(walk(tree, "v1/root/name")).read(0, 9), name)
            self.assertEqual(tree.open(walk(tree, "v2/root/a")).read(0, 9), b"2")
        self.assertEqual(walk(one, "v1/root/a"), walk(two, "v1/root/a"))
        self.assertRaises(TreeStale, two.open, walk(one, "v1/root/name"))
        self.assertFalse(
            IVersioned.providedBy(self.make({"a": MemoryExport({}), "b": MemoryExport({})}))
        )

    def test_layers_that_are_none(self) -> None:
        site = make_site(exports={"a": "directory", "b": "overlay"})
        for names, word in ((("a", "c"), "no export"), (("a", "b"), "is an overlay")):
            with self.assertRaisesRegex(ConfigError, f"pxe.ini:7: layers: . .*{word}|{word}"):
                build(Settings(layers=self.lines(*names)), site)
        for text in ("a", "aa"):
            with self.assertRaises(ValueError):
                Settings(layers=self.lines(*text))
