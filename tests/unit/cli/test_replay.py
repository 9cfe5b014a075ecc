"""Every request of the captures, and what it is answered: `pxetwist explain --pcap`.

The golden texts are written anew with ``PXETWIST_GOLDEN=write``.
"""

from __future__ import annotations

import os
import re
import shutil
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from pxetwist.cli.replay import replay
from pxetwist.cli.steps import Explanation
from pxetwist.config.assemble import assemble
from pxetwist.config.load import load
from pxetwist.testing import result_of

CAPTURES = Path(__file__).parents[2] / "captures"
ANSWERS = CAPTURES / "answers"
SERVED = (
    "loaders/snponly.efi",
    "loaders/undionly.kpxe",
    "loaders/pxelinux.0",
    "loaders/ldlinux.c32",
    "vmlinuz",
    "initrd.img",
)


def answers_to(capture: Path, folder: Path) -> str:
    """Replay a capture against a new server; what is random in answers is replaced."""
    for name in ("pxe.ini", "hosts.csv"):
        shutil.copy(ANSWERS / name, folder / name)
    for name in SERVED:
        file = folder / "boot" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    clock = Clock()
    clock.advance(1e9)
    assembly = assemble(load(folder / "pxe.ini"), clock)
    explanation = Explanation(assembly, IPv4Address("10.77.0.1"))
    result_of(replay(explanation, capture))
    text = "\n".join(explanation.lines).replace(f"{folder}/", "") + "\n"
    return re.sub(r"/boot/[\w-]{35}/", "/boot/TOKEN/", text)


@pytest.mark.parametrize("name", sorted(path.stem for path in CAPTURES.glob("*.pcap")))
def test_answers(name: str, tmp_path: Path) -> None:
    """A capture is answered as its golden text says."""
    seen = answers_to(CAPTURES / f"{name}.pcap", tmp_path)
    golden = ANSWERS / f"{name}.txt"
    if os.environ.get("PXETWIST_GOLDEN") == "write":
        golden.write_text(seen)
    assert seen == golden.read_text()
