"""Options of INI sections: what a plugin's ``Settings`` class is made of.

A settings class is an ``attrs.frozen`` class whose fields are made by :func:`option`. A hyphen in
the INI is an underscore in the class. One class yields the parser, its strictness, the output of
``pxetwist plugins`` and the page of the reference.

A converter is any callable that turns text into a value and raises :class:`ValueError` with a
sentence like ``expected a port (0-65535), got 'x'``. The text it is given is an
:class:`OptionText`, so that a converter can ask in which folder and on which lines it stands.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from stat import S_IROTH
from typing import Any, Generic, Self, TypeVar

import attrs

from pxetwist.errors import Location
from pxetwist.model.identity import parse_mac
from pxetwist.model.lease import Pool
from pxetwist.wire.iana import ARCHITECTURE_NAMES

D = TypeVar("D")
K = TypeVar("K")
T = TypeVar("T")

#: The default of an option that must be given.
REQUIRED: Any = attrs.NOTHING
#: NAME_MAX of Linux: the bytes of one name of a path.
_NAME_MAX = 255
_LONGEST_INTERFACE = 15  # IFNAMSIZ without its NUL


@attrs.frozen
class Line:
    """One line of a multi-line value, stripped, and where it stands."""

    text: str
    location: Location


class OptionText(str):
    """The text of an option, which remembers its lines and the folder of its file.

    `folder` is where relative paths start; `lines` are its non-empty lines.
    """

    __slots__ = ("folder", "lines")

    folder: Path
    lines: tuple[Line, ...]

    def __new__(cls, text: str, folder: Path, lines: tuple[Line, ...]) -> Self:
        """Make one; the text is `lines` joined, or a part of it."""
        self = super().__new__(cls, text)
        self.folder = folder
        self.lines = lines
        return self

    @classmethod
    def of(cls, value: str) -> OptionText:
        """Return the text itself, or plain text as if it stood alone in the current folder."""
        if isinstance(value, OptionText):
            return value
        numbered = enumerate(value.splitlines(), 1)
        found = tuple(Line(s.strip(), Location("", n)) for n, s in numbered if s.strip())
        return cls(value, Path.cwd(), found)

    def part(self, text: str) -> OptionText:
        """Return a piece of it, which stands at the same place."""
        return OptionText(text, self.folder, self.lines)


class Hint(ValueError):
    """What is wrong with a value, or was meant; people see it behind what was expected."""


@attrs.frozen
class Converter(Generic[T]):
    """A converter that can say what it expects; `parse` raises ValueError on anything else."""

    expects: str
    parse: Callable[[str], T]

    def __call__(self, value: str) -> T:
        """Turn text into the value."""
        try:
            return self.parse(value)
        except ValueError as error:
            hint = f"; {error}" if isinstance(error, Hint) else ""
            raise ValueError(f"expected {self.expects}, got {str(value)!r}{hint}") from error


@attrs.frozen
class Keyed(Generic[K, T]):
    """Binds the options ``NAME.KEY`` to a dict; `entry` turns a key and its text into one item.

    `prefix` is the NAME if it is not the field's; plain ``NAME`` is the empty key.
    """

    expects: str
    entry: Callable[[str, str], tuple[K, T]]
    prefix: str = ""

    def __call__(self, value: str) -> dict[K, T]:
        """Turn the value of plain ``NAME`` into the dict."""
        return dict([self.entry("", value)])


def option(convert: Callable[[str], T], *, default: D = REQUIRED, doc: str) -> T | D:
    """Declare one option of a settings class; without a default it must be given.

    `default` is a value, not text. The annotated type is what `convert` returns.

    :raises TypeError: if `convert` is none, or `default` is the text of a value.
    """
    if not callable(convert) or convert in (integer, choice, list_of, per_architecture):
        raise TypeError(f"{getattr(convert, '__name__', convert)!r} is no converter: call it")
    if isinstance(default, str) and not isinstance(value := _value(convert, default), str):
        raise TypeError(f"default is the text {default!r}, not the value {value!r}")
    made: T | D = attrs.field(  # attrs turns it into the value
        default=default,
        kw_only=True,
        repr=convert is not secret_file,
        metadata={"convert": convert, "doc": doc},
    )
    return made


def _value(convert: Callable[[str], Any], text: str) -> Any:
    """Return what a text is converted to; a text that is no value stays as it is."""
    try:
        return convert(text)
    except Exception:
        return text


def expects(convert: Callable[[str], Any]) -> str:
    """Say what a converter wants, for people."""
    known = getattr(convert, "expects", None)
    if isinstance(known, str):
        return known
    sentence = str(convert.__doc__ or getattr(convert, "__name__", "a value")).splitlines()[0]
    return sentence.removeprefix("Expect ").rstrip(".")


def integer(minimum: int | None = None, maximum: int | None = None) -> Converter[int]:
    """Accept whole numbers between two bounds, both included."""

    def parse(value: str) -> int:
        number = int(value, 10)
        low = minimum is not None and number < minimum
        if low or (maximum is not None and number > maximum):
            raise ValueError("out of bounds")
        return number

    match minimum, maximum:
        case None, None:
            bounds = ""
        case _, None:
            bounds = f" of at least {minimum}"
        case None, _:
            bounds = f" of at most {maximum}"
        case _:
            bounds = f" from {minimum} to {maximum}"
    return Converter(f"a whole number{bounds}", parse)


def choice(*names: str) -> Converter[str]:
    """Accept one of these words."""

    def parse(value: str) -> str:
        if value not in names:
            raise ValueError("none of them")
        return str(value)

    return Converter(" or ".join(filter(None, [", ".join(names[:-1]), names[-1]])), parse)


def list_of(convert: Callable[[str], T]) -> Converter[tuple[T, ...]]:
    """Accept several values with commas or white space (also new lines) between them."""

    def parse(value: str) -> tuple[T, ...]:
        source = OptionText.of(value)
        joined = re.sub(r"\s+-\s+", "-", source)  # the dash of a range, not a separator
        return tuple(convert(source.part(item)) for item in re.split(r"[,\s]+", joined) if item)

    return _Whole(f"a list, each {expects(convert)}", parse)


def per_architecture(convert: Callable[[str], T]) -> Keyed[str, T]:
    """Accept ``name = …`` for all architectures and ``name.x64 = …`` for one of them.

    The value is a dict: ``{"": general, "x64": special}``.
    """

    def entry(key: str, value: str) -> tuple[str, T]:
        if key and key not in ARCHITECTURE_NAMES:
            names = ", ".join(ARCHITECTURE_NAMES)
            raise ValueError(f"{key!r} is no architecture (known: {names})")
        return key, convert(value)

    return Keyed(f"{expects(convert)}; also per architecture: NAME.x64 and so on", entry)


class _Whole(Converter[T]):
    """A converter whose `parse` already says what it expected."""

    def __call__(self, value: str) -> T:
        return self.parse(value)


def _boolean(value: str) -> bool:
    words = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
    try:
        return words[value.lower()]
    except KeyError:
        raise ValueError("no such word") from None


def _scaled(units: dict[str, int]) -> Callable[[str], float]:
    pattern = re.compile(rf"(\d+(?:\.\d+)?)\s*([{''.join(units)}]?)")

    def parse(value: str) -> float:
        found = pattern.fullmatch(value)
        if found is None:
            raise ValueError("no number with a unit")
        return float(found[1]) * units.get(found[2], 1)

    return parse


_bytes = _scaled({"K": 1 << 10, "M": 1 << 20, "G": 1 << 30})


def _port_range(value: str) -> range:
    first, _, last = value.partition("-")
    low, high = port(first.strip()), port((last or first).strip())
    if not 0 < low <= high:
        raise ValueError("not in order")
    return range(low, high + 1)


def _pool_of(address: type[IPv4Address | IPv6Address]) -> Callable[[str], Pool]:
    def parse(value: str) -> Pool:
        first, dash, last = (part.strip() for part in value.partition("-"))
        pool = Pool(address(first), address(last if dash else first))
        if int(pool.last) < int(pool.first):
            raise Hint("its ends are exchanged")
        return pool

    return parse


N = TypeVar("N", IPv4Network, IPv6Network)


def _network_of(kind: type[N]) -> Callable[[str], N]:
    def parse(value: str) -> N:
        found = kind(value, strict=False)
        if "/" not in value:
            raise Hint("say how large it is, with / and a number")
        if found.network_address != ip_address(value.partition("/")[0]):
            raise Hint(f"did you mean {found}?")
        if found.is_multicast or found.is_link_local:
            raise Hint("machines have no addresses of it")
        return found

    return parse


def _interface(value: str) -> str:
    if len(value) > _LONGEST_INTERFACE or set(value) & set("/:"):
        raise ValueError("no such name")
    return str(value)


def _path(value: str) -> Path:
    if not value:
        raise ValueError("empty")
    if any(len(os.fsencode(part)) > _NAME_MAX for part in value.split("/")):
        raise ValueError("a name is too long")
    return OptionText.of(value).folder.absolute() / Path(value).expanduser()


def _folder(value: str) -> Path:
    found = path(value)
    if not found.is_dir():
        raise ValueError("no such folder")
    return found


def check_private(file: Path) -> None:
    """Refuse a file that is no secret.

    :raises ValueError: if everyone can read it.
    """
    if file.stat().st_mode & S_IROTH:
        raise ValueError(f"{file} can be read by everyone; mend: chmod o-rwx {file}")


def _secret(value: str) -> str:
    file = path(value)
    try:
        check_private(file)
        return file.read_text("utf-8").strip()
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from error


def _lines(value: str) -> tuple[Line, ...]:
    return OptionText.of(value).lines


#: Any text, as it stands (lines of a multi-line value have a newline between them).
text: Converter[str] = Converter("text", str)
#: ``yes`` or ``no``.
boolean: Converter[bool] = Converter("yes or no", _boolean)
#: A duration in seconds: ``90``, ``90s``, ``10m``, ``1h``, ``1d``.
seconds: Converter[float] = Converter(
    "a duration like 90, 90s, 10m, 1h or 1d",
    _scaled({"s": 1, "m": 60, "h": 3600, "d": 86400}),
)
#: A number of bytes: ``512``, ``64K``, ``64M``, ``2G``.
size: Converter[int] = Converter("a size like 512, 64K, 64M or 2G", lambda v: int(_bytes(v)))
#: An IPv4 address.
address: Converter[IPv4Address] = Converter("an IPv4 address", IPv4Address)
#: An IPv4 network, without host bits.
network: Converter[IPv4Network] = Converter(
    "an IPv4 network like 10.0.0.0/24", _network_of(IPv4Network)
)
#: A range of addresses, ``10.0.0.100 - 10.0.0.200``, or a single one.
pool: Converter[Pool] = Converter("a pool like 10.0.0.100 - 10.0.0.200", _pool_of(IPv4Address))
#: An IPv6 address.
address6: Converter[IPv6Address] = Converter("an IPv6 address", IPv6Address)
#: An address of either family.
any_address: Converter[IPv4Address | IPv6Address] = Converter("an IP address", ip_address)
#: An IPv6 network, without host bits.
network6: Converter[IPv6Network] = Converter(
    "an IPv6 network like fd00:0:0:1::/64", _network_of(IPv6Network)
)
#: A range of IPv6 addresses, ``fd00::100 - fd00::1ff``, or a single one.
pool6: Converter[Pool] = Converter("a pool like fd00::100 - fd00::1ff", _pool_of(IPv6Address))
#: The name of a network interface, which need not be there.
interface: Converter[str] = Converter("the name of a network interface like eth0", _interface)
#: A port; 0 lets the system choose.
port: Converter[int] = Converter("a port from 0 to 65535", integer(0, 65535))
#: A range of ports.
port_range: Converter[range] = Converter("a range of ports like 20000-20999", _port_range)
#: A MAC address, in any usual spelling; the value is spelled ``52:54:00:12:34:56``.
mac: Converter[str] = Converter("a MAC address like 52:54:00:12:34:56", parse_mac)
#: A path, relative to the folder of the INI; the value is absolute.
path: Converter[Path] = Converter("a path", _path)
#: The path of a folder that is there.
folder: Converter[Path] = Converter("a folder that exists", _folder)
#: The path of a file, not readable by everyone, whose stripped content is the value.
secret_file: Converter[str] = _Whole("the path of a file that holds the secret", _secret)
#: The non-empty lines of a multi-line value, without comments.
lines: Converter[tuple[Line, ...]] = _Whole("one entry per line", _lines)
