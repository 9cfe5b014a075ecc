"""Answer files of installers: of which text, filled with what, and who may have them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import attrs

from pxetwist.errors import Location

#: So long (seconds) after the URL was made a secret answer may be fetched, unless the INI says
#: otherwise.
LIFE = 900.0
#: The script by which iPXE learns what to log in to an iSCSI target with.
CREDENTIALS = "credentials.ipxe"
#: What belongs to an answer, in the same folder: cloud-init asks for all of it.
_TOGETHER = {"user-data": ("user-data", "meta-data", "vendor-data")}


@attrs.frozen
class Value:
    """What a variable of an answer stands for; one from a `file` is secret."""

    text: str = attrs.field(repr=False)
    file: str = ""


@attrs.frozen
class Answer:
    """The answer file of a profile: the text that a template makes of values.

    A `secret` one is for the machine alone that it is made for, by TLS unless `plain`, and but
    `once` in each boot if so wanted, at most `life` seconds after the machine got its URL. Those
    of Windows and ESXi have no `template` but several `names`.
    """

    profile: str
    template: str
    values: Mapping[str, Value] = attrs.field(factory=dict)
    secret: bool = False
    plain: bool = False
    once: bool = False
    life: float = LIFE
    location: Location = attrs.field(default=Location(""), eq=False)
    names: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """The names in its folder."""
        return self.names or _TOGETHER.get(self.template, (self.template,))

    @property
    def mark(self) -> bytes:
        """Four bytes that stand for its profile."""
        return hashlib.sha256(self.profile.encode()).digest()[:4]

    def shown(self) -> Iterator[tuple[str, str]]:
        """Yield its values as the INI names them, and what anybody may read of them."""
        for name, value in self.values.items():
            hidden = f"(in {value.file})" if value.file else "(secret)" if self.secret else ""
            yield f"answer.{name.replace('_', '-')}", hidden or value.text

    def beside(self, wishes: Mapping[str, str]) -> Answer:
        """Return it with what a profile wishes, where it says nothing itself."""
        known = {name: Value(text) for name, text in wishes.items()}
        return attrs.evolve(self, values={**known, **self.values})
