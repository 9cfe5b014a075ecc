"""Where a distribution's packages come from: what this machine's own apt uses, else its makers."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence

import attrs

from pxetwist.diskless.folder import ImageError

#: What a mirror has; third parties name their parts otherwise.
_PARTS = ("main", "contrib", "non-free", "non-free-firmware", "restricted", "universe")
#: By distribution: its public mirrors, and the suites that they have beside the one of that name.
_PUBLIC = {
    "debian": (
        ("http://deb.debian.org/debian", ("{}", "{}-updates"), "main"),
        ("http://deb.debian.org/debian-security", ("{}-security",), "main"),
    ),
}
#: The packages of a kernel for any machine, by architecture.
_KERNELS = {
    "amd64": "linux-image-amd64",
    "arm64": "linux-image-arm64",
    "i386": "linux-image-686-pae",
}
_DISTRIBUTION = re.compile(r"([a-z]+):([a-z][a-z0-9.-]*)")
#: What of apt's configuration has to do with the way to a mirror, not with this machine.
_ACQUIRE = re.compile(r'(Acquire::(?:https?::.*|Check-Valid-Until|Check-Date)) "(.+)";')


@attrs.frozen
class Distribution:
    """A release of a distribution."""

    name: str
    suite: str

    @classmethod
    def parse(cls, text: str) -> Distribution:
        """Read ``debian:bookworm``.

        :raises ImageError: if it cannot be that.
        """
        found = _DISTRIBUTION.fullmatch(text)
        if found is None or found[1] not in _PUBLIC:
            known = " or ".join(f"{name}:SUITE" for name in _PUBLIC)
            raise ImageError(f"--from: expected {known}, or image:NAME, got {text!r}")
        return cls(found[1], found[2])

    def __str__(self) -> str:
        return f"{self.name}:{self.suite}"

    def sources(self, mirrors: Sequence[str]) -> list[str]:
        """Return lines as in sources.list(5): of the mirrors that were given (URLs, or whole
        lines), else of those that this machine uses, else the public ones.
        """
        if mirrors:
            return [each if " " in each else f"deb {each} {self.suite} main" for each in mirrors]
        return self._of_this_machine() or [
            f"deb {url} {form.format(self.suite)} {parts}"
            for url, forms, parts in _PUBLIC[self.name]
            for form in forms
        ]

    def _of_this_machine(self) -> list[str]:
        form = "$(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)"
        told = _output("apt-get", "indextargets", "--no-release-info", "--format", form)
        wanted = (self.suite, *(f"{self.suite}-{each}" for each in ("updates", "security")))
        found: dict[tuple[str, str], list[str]] = {}
        for line in told:
            made_by, _, rest = line.partition(" ")
            words = rest.split()
            if made_by != "Packages" or len(words) != 3:
                continue
            url, suite, part = words
            if suite in wanted and part in _PARTS:
                parts = found.setdefault((url, suite), [])
                parts += [part] if part not in parts else []
        if not any(suite == self.suite for _, suite in found):
            return []
        return [f"deb {url} {suite} {' '.join(parts)}" for (url, suite), parts in found.items()]


def kernel_for(architecture: str) -> str:
    """Return the package of the kernel that knows most machines.

    :raises ImageError: if we know none.
    """
    if architecture not in _KERNELS:
        known = ", ".join(_KERNELS)
        raise ImageError(
            f"--arch: no kernel is known for {architecture} (known: {known}); --kernel"
        )
    return _KERNELS[architecture]


def own_architecture() -> str:
    """Return what dpkg calls the architecture of this machine."""
    return next(iter(_output("dpkg", "--print-architecture")), "amd64")


def acquire_options() -> list[str]:
    """Return the options with which this machine's apt reaches mirrors: proxies, certificates."""
    return options_of(_output("apt-config", "dump"))


def options_of(dump: Iterable[str]) -> list[str]:
    """Pick those options out of what ``apt-config dump`` prints, as ``NAME=value``."""
    return [f"{found[1]}={found[2]}" for line in dump if (found := _ACQUIRE.fullmatch(line))]


def _output(*command: str) -> list[str]:
    """Return what a tool of Debian's prints; nothing if it is missing or complains."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []
