"""Images of machines without disks, each built once a week for all labs that build it alike."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bootlab.processes import LabError, run
from bootlab.server import pxetwist

_PRODUCT = Path(__file__).resolve().parent.parent / "pxetwist"
_SAID, _IMAGES = "said", "images"
#: So many are kept, which are some hundred MB each.
_KEPT = 2


def build_image(cache: Path, ini: Path, name: str, words: Sequence[str]) -> str:
    """Do what ``pxetwist image build`` does in the site of an INI, whose state folder is ``var``,
    and return what it prints. From the cache that takes seconds, while the code that builds, the
    words and the INI are the same.

    :raises LabError: with the complaint, if it fails.
    """
    images = ini.parent / "var" / _IMAGES
    folder = cache / f"image-{_recipe(ini, name, words)}"
    if folder.exists():
        os.utime(folder)
        _copy(folder / _IMAGES, images)
        return (folder / _SAID).read_text()
    said = pxetwist("image", "build", str(ini), name, *words)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        made = Path(temporary, "made")
        made.mkdir()
        _copy(images, made / _IMAGES)
        (made / _SAID).write_text(said)
        os.sync()  # what has its name is whole, also after a loss of power
        try:
            made.rename(folder)
        except OSError:
            if not folder.exists():  # no other run was quicker
                raise
    for old in sorted(cache.glob("image-*"), key=os.path.getmtime)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return said


def _copy(source: Path, target: Path) -> None:
    """Copy a folder, whose files are linked if that can be: nobody writes into those of a version
    that is whole.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        run("cp", "--archive", "--link", str(source), str(target))
    except LabError:  # another file system
        shutil.rmtree(target, ignore_errors=True)
        run("cp", "--archive", str(source), str(target))


def _recipe(ini: Path, name: str, words: Sequence[str]) -> str:
    """Return a digest of all that makes the image, and of the week: packages become older."""
    said = repr((name, *words, time.strftime("%G-%V"))).encode()
    parts = [said, ini.read_bytes(), *(file.read_bytes() for file in _sources())]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def _sources() -> Iterator[Path]:
    """Yield the files of the code that builds."""
    for folder, pattern in (("diskless", "**/*"), ("cli", "image*.py")):
        for path in sorted((_PRODUCT / folder).glob(pattern)):
            if path.is_file() and path.suffix != ".pyc":
                yield path
