"""Policies: what a machine boots, and the few things they all do alike."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import attrs

from pxetwist.errors import PolicyError
from pxetwist.model.boot import BootPlan, BootRequest
from pxetwist.model.profile import BootProfile

#: The loader families that a machine's label ``loader`` may name.
LOADERS = ("ipxe", "grub", "pxelinux")


def planned(profile: BootProfile, request: BootRequest, reason: str, policy: str) -> BootPlan:
    """Turn a profile into the plan for this request; the machine's label ``loader`` wins.

    :raises PolicyError: if the profile lacks the architecture, or the label names no loader.
    """
    plan = attrs.evolve(profile.plan(request.identity.architecture, reason), policy=policy)
    loader = request.machine.labels.get("loader", "") if request.machine else ""
    if not loader:
        return plan
    if loader not in LOADERS:
        machine = request.machine.name if request.machine else ""
        raise PolicyError(
            f"machine {machine!r}: unknown loader {loader!r}{suggestion(loader, LOADERS)}"
        )
    return attrs.evolve(plan, loader=loader)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown word: what was meant, or what is known."""
    names = sorted(known)
    close = get_close_matches(word, names, 1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f" (known: {', '.join(names)})" if names else " (none is known)"
