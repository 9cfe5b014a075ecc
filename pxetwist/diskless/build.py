"""Making a version of an image: from a distribution's packages, or from another version."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import attrs

from pxetwist.diskless import system
from pxetwist.diskless.checks import problems
from pxetwist.diskless.folder import Facts, Image, ImageError, ImageVersion, delete
from pxetwist.diskless.sources import Distribution, acquire_options
from pxetwist.diskless.tools import Progress, Tools

LOG = "build.log"
_INSTALL = "apt-get {options} update && apt-get {options} --yes --no-install-recommends install {}"


@attrs.frozen
class Recipe:
    """What a version is made of: the packages of a distribution from lines as in sources.list(5),
    or another version; further packages; a folder of files that is copied over the root; commands
    that run in it.
    """

    of: Distribution | ImageVersion
    architecture: str
    kernel: str = ""
    sources: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    files: Path | None = None
    commands: tuple[str, ...] = ()


def build(image: Image, name: str, recipe: Recipe, say: Callable[[str], None]) -> ImageVersion:
    """Make a version, which nobody sees before it is whole and on the disk; the caller holds the
    image's lock.

    :raises ImageError: if it cannot be made; nothing is left but the log.
    """
    if os.geteuid() != 0:
        raise ImageError('making images needs root: sudo env PATH="$PATH" pxetwist image build …')
    os.umask(0o022)
    log = image.folder / LOG
    log.unlink(missing_ok=True)
    progress = Progress(say)
    made = image.begin(name)
    try:
        made.folder.chmod(0o755)
        _Builder(recipe, made, image.name, Tools(log, progress)).run()
        progress.step(95, "checking")
        for problem in problems(made):
            raise ImageError(f"{problem}\nall that the tools said: {log}")
        progress.step(98, "writing to the disk")
        return image.finish(made)
    except BaseException:
        delete(made.folder)
        raise


class _Builder:
    """Makes one version, step by step."""

    def __init__(self, recipe: Recipe, made: ImageVersion, name: str, tools: Tools) -> None:
        self._recipe = recipe
        self._made = made
        self._name = name
        self._tools = tools
        self._former: set[str] = set()  # kernels that another one was asked for to replace

    def run(self) -> None:
        """Make the root, then what stands beside it."""
        recipe, root = self._recipe, self._made.root
        if isinstance(recipe.of, Distribution):
            self._from_packages(recipe.of)
            system.name_it(root, self._name)
            if command := system.network_command(root):
                self._tools.chroot(root, command)
        else:
            self._from_version(recipe.of)
        self._change()
        self._tools.progress.step(92, "copying kernel and initramfs")
        kernel = self._take_kernel()
        size = _size(root)
        facts = Facts(
            of=self._origin(),
            architecture=recipe.architecture,
            kernel=kernel,
            built=time.time(),
            size=size,
            packages=recipe.include,
            commands=recipe.commands,
        )
        self._made.note(facts)

    def _origin(self) -> str:
        of = self._recipe.of
        if isinstance(of, Distribution):
            return str(of)
        return f"image:{of.folder.parent.name}/{of.name}"

    def _from_packages(self, of: Distribution) -> None:
        recipe, root = self._recipe, self._made.root
        packages = [recipe.kernel, *system.PACKAGES, *recipe.include]
        own = self._made.folder / "files"
        system.put_files(own)
        if shutil.which("mmdebstrap"):
            options = [f"--aptopt={_as_line(each)}" for each in acquire_options()]
            self._tools.run(
                *("mmdebstrap", "--verbose", "--mode=root", "--variant=minbase"),
                *(f"--architectures={recipe.architecture}", f"--include={','.join(packages)}"),
                *options,
                f"--essential-hook=sync-in {shlex.quote(str(own))} /",
                *(of.suite, str(root), *recipe.sources),
            )
        elif shutil.which("debootstrap"):
            url = recipe.sources[0].split()[1]
            self._tools.run(
                *("debootstrap", "--variant=minbase", f"--arch={recipe.architecture}"),
                *(of.suite, str(root), url),
            )
            (root / "etc" / "apt" / "sources.list").write_text("\n".join(recipe.sources) + "\n")
            system.put_files(root)
            self._install(packages)
        else:
            raise ImageError("mmdebstrap is missing: apt-get install mmdebstrap")
        delete(own)
        system.remove_keys(root)

    def _from_version(self, of: ImageVersion) -> None:
        root = self._made.root
        self._tools.progress.step(5, f"copying {of.name}")
        self._tools.run("cp", "--archive", "--reflink=auto", str(of.root), str(root))
        packages = [each for each in (self._recipe.kernel, *self._recipe.include) if each]
        changed = system.put_files(root)
        if self._recipe.kernel:
            self._former = {each.name for each in (root / "boot").glob("vmlinuz-*")}
        if packages:
            self._install(packages)
            system.remove_keys(root)
        if changed:
            self._tools.chroot(root, "update-initramfs -u -k all")

    def _install(self, packages: list[str]) -> None:
        options = " ".join(shlex.quote(f"-o{each}") for each in acquire_options())
        names = " ".join(map(shlex.quote, packages))
        self._tools.progress.step(40, "installing", 88)
        self._tools.chroot(self._made.root, _INSTALL.format(names, options=options))

    def _change(self) -> None:
        """Do what the person wants changed."""
        recipe, root = self._recipe, self._made.root
        if recipe.files is not None:
            self._tools.progress.step(90, f"copying {recipe.files}")
            # without its owners, and without the modes of folders that are there already
            options = ("--recursive", "--no-dereference", "--no-target-directory")
            self._tools.run("cp", *options, str(recipe.files), str(root))
        for command in recipe.commands:
            self._tools.progress.step(91, f"running {command}")
            self._tools.chroot(root, command)
        system.tidy(root)
        root.chmod(0o755)

    def _take_kernel(self) -> str:
        """Copy the newest kernel and its initramfs to where they are served from."""
        boot = self._made.root / "boot"
        there = {each.name for each in boot.glob("vmlinuz-*")}
        kernels = [each.removeprefix("vmlinuz-") for each in there - self._former or there]
        if not kernels:
            raise ImageError("the root has no kernel in boot: give --kernel PACKAGE")
        ask = ("sort", "--version-sort")
        told = subprocess.run(
            ask, input="\n".join(kernels), capture_output=True, text=True, check=True
        )
        newest = told.stdout.split()[-1]
        for source, target in (
            (boot / f"vmlinuz-{newest}", self._made.kernel),
            (boot / f"initrd.img-{newest}", self._made.initrd),
        ):
            if not source.exists():
                raise ImageError(f"the root has no {source.name} in boot; see {LOG}")
            shutil.copyfile(source, target)
            target.chmod(0o644)
        return newest


def _as_line(option: str) -> str:
    name, _, value = option.partition("=")
    return f'{name} "{value}"'


def _size(root: Path) -> int:
    done = subprocess.run(
        ("du", "-s", "-B1", str(root)), capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[0])
