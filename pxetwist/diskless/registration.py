"""How an INI comes to know an image: a file of sections that it includes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pxetwist.config.load import Configuration
from pxetwist.diskless.folder import Image
from pxetwist.model.image_use import CURRENT, FOLDER, INITRD, KERNEL

_INI = """\
# Written by pxetwist image build; a profile of your own that extends {name} changes what it says.
[profile:{name}]
kind = linux
title = {name}, diskless
family = diskless
kernel = {content}/{name}/{current}/{kernel}
initrds = {content}/{name}/{current}/{initrd}
root = export:{name}

[export:{name}]
plugin = image
"""


def images_folder(configuration: Configuration) -> Path:
    """Return the folder of all images."""
    return configuration.state_folder / FOLDER


def register(configuration: Configuration, image: Image) -> Path | None:
    """Write the file with the image's sections, unless it is there; `None`: the INI has a profile
    of that name.
    """
    file = image.folder.with_name(f"{image.name}.ini")
    if file.exists():
        return file
    if image.name in configuration.profiles:
        return None
    text = _INI.format(
        name=image.name,
        content=FOLDER,
        current=CURRENT,
        kernel=KERNEL,
        initrd=INITRD,
    )
    fresh = file.with_name(f".{file.name}")
    fresh.write_text(text, "utf-8")
    fresh.rename(file)
    return file


def unregister(image: Image) -> None:
    """Remove that file."""
    image.folder.with_name(f"{image.name}.ini").unlink(missing_ok=True)


def missing_lines(configuration: Configuration, image: Image) -> Iterator[str]:
    """Yield the lines that [pxe] must have, whole, where it lacks something."""
    settings = configuration.settings
    folder = images_folder(configuration)
    if image.name not in configuration.profiles:
        pattern = f"{_shown(folder, configuration.folder)}/*.ini"
        if pattern not in settings.include:
            yield f"include = {', '.join((*settings.include, pattern))}"
    if FOLDER not in {each.factory.name for each in configuration.of_kind("content")}:
        yield f"content = {', '.join((*settings.content, FOLDER))}"
    if "nfs" not in {each.factory.name for each in configuration.of_kind("service")}:
        yield f"services = {', '.join((*settings.services, 'nfs'))}"


def _shown(path: Path, folder: Path) -> str:
    """Spell a path as the INI does: relative to its folder, if it is below that."""
    absolute = Path(os.path.abspath(path))
    return str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute)
