"""``pxetwist image``: roots of machines without disks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from twisted.python import usage

from pxetwist.cli import image_options
from pxetwist.cli.image_options import Verb
from pxetwist.cli.printing import table
from pxetwist.config.load import Configuration, load
from pxetwist.diskless import folder
from pxetwist.diskless.build import Recipe, build
from pxetwist.diskless.checks import problems
from pxetwist.diskless.folder import Image, ImageError, ImageVersion
from pxetwist.diskless.registration import images_folder, missing_lines, register, unregister
from pxetwist.diskless.sources import Distribution, kernel_for, own_architecture
from pxetwist.model.image_use import TOPIC, ImageUse, read_uses
from pxetwist.tap import assembled, completed

_FORM = "%Y-%m-%d %H:%M"


class Options(usage.Options):
    """Options of the command."""

    synopsis = "VERB [FILE] …"
    longdesc = (
        "FILE is the INI, pxe.ini if not given; images are in the folder images of its state"
        " folder. A new version disturbs no machine that runs: it has it when it starts again."
    )
    subCommands = [
        ("build", None, image_options.BuildOptions, "Make a version, and let machines start it."),
        ("list", None, image_options.ListOptions, "List versions, and who has started them."),
        ("check", None, image_options.CheckOptions, "Look whether a version can be started."),
        ("use", None, image_options.UseOptions, "Let machines start another version."),
        ("remove", None, image_options.RemoveOptions, "Remove a version, or an image."),
    ]

    def postOptions(self) -> None:
        """Insist on a verb."""
        if self.subCommand is None:
            raise usage.UsageError("image needs one of build, list, check, use, remove")


def run(options: Options) -> int:
    """Do what the verb says."""
    verbs: dict[str, Callable[[Verb, Configuration], int]] = {
        "build": _build,
        "list": _list,
        "check": _check,
        "use": _use,
        "remove": _remove,
    }
    verb = options.subOptions
    return verbs[str(options.subCommand)](verb, load(Path(verb["file"])))


def _image(verb: Verb, configuration: Configuration) -> Image:
    return folder.image(images_folder(configuration), verb["image"])


def _build(verb: Verb, configuration: Configuration) -> int:
    image, begun = _image(verb, configuration), time.monotonic()
    recipe = _recipe(verb, configuration)
    name = verb["name"] or datetime.now().strftime("%Y%m%d-%H%M%S")
    with image.locked():
        made = build(image, name, recipe, partial(print, flush=True))
        if not (verb["keep"] and image.current):
            image.switch(made)
    facts, took = made.facts, time.monotonic() - begun
    print(f"100 %  {image.name} {made.name}: {facts.size / 1e6:.0f} MB,"
          f" kernel {facts.kernel}, after {took:.0f} s")  # fmt: skip
    _tell_about_ini(verb, configuration, image)
    return 0


def _recipe(verb: Verb, configuration: Configuration) -> Recipe:
    if verb["files"] is not None and not verb["files"].is_dir():
        raise ImageError(f"--files: there is no folder {verb['files']}")
    kind, _, name = verb["from"].partition(":")
    rest = {"include": verb["include"], "files": verb["files"], "commands": tuple(verb["run"])}
    if kind == "image":
        wanted, _, version = name.partition("/")
        of = folder.image(images_folder(configuration), wanted).version(version)
        return Recipe(of, of.facts.architecture, verb["kernel"] or "", **rest)
    release = Distribution.parse(verb["from"])
    architecture = verb["arch"] or own_architecture()
    kernel = verb["kernel"] or kernel_for(architecture)
    return Recipe(release, architecture, kernel, tuple(release.sources(verb["mirror"])), **rest)


def _tell_about_ini(verb: Verb, configuration: Configuration, image: Image) -> None:
    """Write the image's sections, and say what the INI still lacks."""
    file = register(configuration, image)
    if file is None:
        print(f"[profile:{image.name}] of {verb['file']} is yours: {image.folder}.ini not written")
    else:
        print(f"{file}: [profile:{image.name}], [export:{image.name}]")
    lines = list(missing_lines(configuration, image))
    if lines:
        print(f"to serve it, change [pxe] of {verb['file']}, and start the server again:")
        print("\n".join(f"    {line}" for line in lines))


def _list(verb: Verb, configuration: Configuration) -> int:
    images = folder.all_images(images_folder(configuration))
    chosen = [each for each in images if verb["image"] in ("", each.name)]
    if verb["image"] and not chosen:
        _image(verb, configuration).version()  # says what there is
    uses = _uses(verb) if chosen else []
    rows = [row for each in chosen for row in _rows(each, uses)]
    if not rows:
        print("no images; see pxetwist image build --help")
        return 0
    head = ("IMAGE", "VERSION", "STARTS", "OF", "KERNEL", "SIZE", "LAST STARTED BY")
    print("\n".join(table([head, *rows])))
    return 0


def _rows(image: Image, uses: Sequence[ImageUse]) -> Iterator[tuple[str, ...]]:
    for each in image.versions:
        facts = each.facts
        by = [f"{use.machine} ({_moment(use.when)})" for use in _of(uses, image, each)]
        yield (
            image.name,
            each.name,
            "yes" if each.name == image.current else "",
            facts.of,
            facts.kernel,
            f"{facts.size / 1e6:.0f} MB",
            ", ".join(by),
        )


def _check(verb: Verb, configuration: Configuration) -> int:
    images = folder.all_images(images_folder(configuration))
    if verb["image"]:
        images = [_image(verb, configuration)]
    found = 0
    for image in images:
        version = image.version(verb["version"])
        complaints = [*problems(version), *_unregistered(image, configuration)]
        for complaint in complaints:
            print(f"{image.name} {version.name}: {complaint}")
        if not complaints:
            print(f"{image.name} {version.name}: good")
        found += len(complaints)
    return 1 if found else 0


def _unregistered(image: Image, configuration: Configuration) -> Iterator[str]:
    for line in missing_lines(configuration, image):
        yield f"machines cannot be given it: [pxe] lacks: {line}"


def _use(verb: Verb, configuration: Configuration) -> int:
    image = _image(verb, configuration)
    version = image.version(verb["version"])
    with image.locked():
        image.switch(version)
    print(f"machines start {image.name} {version.name} from now on")
    return 0


def _remove(verb: Verb, configuration: Configuration) -> int:
    image = _image(verb, configuration)
    versions = [image.version(verb["version"])] if verb["version"] else image.versions
    if not versions:
        image.version()  # says that there is none
    uses = [] if verb["force"] else _uses(verb)
    with image.locked():
        for version in versions:
            if not verb["force"]:
                _refuse(image, version, uses, whole=not verb["version"])
        for version in versions:
            image.remove(version)
            print(f"{image.name} {version.name} is removed")
    if not image.versions:
        unregister(image)
        folder.delete(image.folder)
    return 0


def _refuse(image: Image, version: ImageVersion, uses: Sequence[ImageUse], *, whole: bool) -> None:
    """Look whether somebody needs a version.

    :raises ImageError: if so.
    """
    by = [f"{use.machine} ({_moment(use.when)})" for use in _of(uses, image, version)]
    if by:
        raise ImageError(
            f"{image.name} {version.name} was last started by {', '.join(by)}: a machine that"
            " still runs would lose its root; let it start another one, or give --force"
        )
    if version.name == image.current and not whole:
        raise ImageError(
            f"{image.name} {version.name} is what machines start: pxetwist image use"
            f" {image.name} VERSION, or give --force"
        )


def _uses(verb: Verb) -> list[ImageUse]:
    """Return who has started what last, as far as the state knows."""
    leases = assembled(Path(verb["file"])).boot.leases
    return list(read_uses(completed(leases.recall(TOPIC))))


def _of(uses: Sequence[ImageUse], image: Image, version: ImageVersion) -> list[ImageUse]:
    return [use for use in uses if (use.image, use.version) == (image.name, version.name)]


def _moment(when: float) -> str:
    return datetime.fromtimestamp(when).strftime(_FORM)
