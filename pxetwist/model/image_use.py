"""How images are laid out, and which machine has started which version of one, as it is kept
among the state's notes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import attrs

from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine

#: The folder of all images in the state folder, and in the content.
FOLDER = "images"
#: The link to the version of an image that machines start, and what is in a version.
CURRENT = "current"
ROOT, KERNEL, INITRD = "root", "vmlinuz", "initrd.img"
#: What loaders may have.
SERVED = (KERNEL, INITRD)
#: The topic of these notes, and how many machines are remembered.
TOPIC, LIMIT = "images", 20_000


@attrs.frozen
class ImageUse:
    """A machine was told to start a version of an image; `when` is in seconds since the epoch."""

    machine: str
    image: str
    version: str
    when: float

    @property
    def key(self) -> str:
        """What the note is found by: each machine has but one for each image."""
        return f"{self.machine} {self.image}"

    def text(self) -> str:
        """Spell it as a note."""
        return json.dumps(attrs.asdict(self))


def name_of(machine: Machine | None, identity: ClientIdentity) -> str:
    """Return what a machine is called in notes."""
    return machine.name if machine else str(identity)


def read_uses(notes: Mapping[str, str]) -> Iterable[ImageUse]:
    """Yield what notes say, the oldest first; what cannot be read is left out."""
    for text in notes.values():
        try:
            yield ImageUse(**json.loads(text))
        except (ValueError, TypeError):
            continue
