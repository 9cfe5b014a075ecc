"""Reading INI files: configparser's dialect, with the exact line of everything.

No interpolation, no ``[DEFAULT]``, case is kept, comments stand on their own lines, ``=`` alone
separates. Lines that start with white space go on with the value above them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from configparser import MissingSectionHeaderError, ParsingError, RawConfigParser
from pathlib import Path

import attrs

from pxetwist.config.fields import Line, OptionText
from pxetwist.errors import ConfigError, Location

#: Stands between what a line says and its number on the way through configparser.
_MARK = "\0"


@attrs.frozen
class Option:
    """One option of a section: its text, and the line of its name."""

    name: str
    text: OptionText
    location: Location


@attrs.frozen
class Section:
    """One section, ``[kind:name]`` or ``[kind]``, and its options by name."""

    title: str
    location: Location
    options: dict[str, Option] = attrs.field(factory=dict)

    @property
    def kind(self) -> str:
        """What stands before the colon."""
        return self.title.partition(":")[0].strip()

    @property
    def name(self) -> str:
        """What stands behind the colon; empty if there is none."""
        return self.title.partition(":")[2].strip()

    def error(self, message: str, option: str = "") -> ConfigError:
        """Make an error that points to the section, or to the line of one of its options."""
        found = self.options.get(option)
        if found is None:
            return ConfigError(self.location, f"[{self.title}] {message}")
        return ConfigError(found.location, f"[{self.title}] {option}: {message}")


class Ini:
    """All sections of an INI and of the files it includes, in their order.

    Mistakes are appended to `errors`; what is left is consistent. The same section or option
    twice is a mistake, also in two files. Relative paths of all files start at `folder`.

    `texts` are the files as another process has read them, `file` the first: no other is read.
    """

    def __init__(
        self, file: Path, errors: list[ConfigError], texts: Mapping[str, str] | None = None
    ) -> None:
        self.folder = file.absolute().parent
        self.sections: dict[str, Section] = {}
        self.texts: dict[str, str] = {}
        self.files: list[str] = []
        self._errors = errors
        if texts is not None:
            for name, source in texts.items():
                self._take(name, source)
            return
        self._read(file)
        include = self.sections["pxe"].options.get("include") if "pxe" in self.sections else None
        for found in self._included(file, include):
            self._read(found, include)

    def _included(self, file: Path, include: Option | None) -> Iterator[Path]:
        """Find the files that the patterns of an include name, sorted for each pattern."""
        for pattern in re.findall(r"[^,\s]+", include.text) if include else ():
            folder, _, glob = pattern.rpartition("/")
            found = sorted((file.parent / folder).glob(glob)) if glob else []
            if include and not found and not set("*?[") & set(pattern):
                message = f"[pxe] include: there is no file {file.parent / pattern}"
                self._errors.append(ConfigError(include.location, message))
            yield from found

    def _read(self, file: Path, include: Option | None = None) -> None:
        self.files.append(str(file))
        try:
            source = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problem = "is not text in UTF-8"
            if isinstance(error, OSError):
                problem = f"cannot be read: {error.strerror}"
            place = Location(str(file))
            if include:
                place, problem = include.location, f"[pxe] include: {file} {problem}"
            self._errors.append(ConfigError(place, problem))
            return
        self._take(str(file), source)

    def _take(self, file: str, source: str) -> None:
        self.texts[file] = source
        parser = _parse(source, file, self._errors)
        for header in parser.sections():
            self._add(parser, header, file)

    def _add(self, parser: RawConfigParser, header: str, file: str) -> None:
        title, _, line = header.partition("]")
        section = Section(title.strip(), Location(file, int(line.partition(_MARK)[2])))
        first = self.sections.setdefault(section.title, section)
        if first is not section:
            again = f"section [{section.title}] stands at {first.location} already"
            self._errors.append(ConfigError(section.location, again))
            return
        for key, value in parser.items(header):
            option = _option(key.partition(_MARK)[0], value, file, self.folder)
            if option.name in section.options:
                there = section.options[option.name].location
                message = f"[{section.title}] {option.name} stands at {there} already"
                self._errors.append(ConfigError(option.location, message))
            else:
                section.options[option.name] = option


class _Parser(RawConfigParser):
    """Takes every header and every option for a new one: looking for the same twice is ours."""

    SECTCRE = re.compile(rf"\[(?P<header>[^]{_MARK}]+\]\s*{_MARK}\d+)")

    def __init__(self) -> None:
        super().__init__(
            delimiters=("=",),
            comment_prefixes=("#", ";"),
            default_section=_MARK,
            interpolation=None,
        )
        self._serial = itertools.count()

    def optionxform(self, optionstr: str) -> str:
        """Keep the case, and make it unique."""
        return f"{optionstr}{_MARK}{next(self._serial)}"


def _parse(source: str, file: str, errors: list[ConfigError]) -> RawConfigParser:
    parser = _Parser()
    numbered = enumerate(source.replace(_MARK, "").split("\n"), 1)
    try:
        parser.read_file([_marked(line, number) for number, line in numbered], file)
    except MissingSectionHeaderError as error:
        message = "expected a section like [pxe] before the first option"
        errors.append(ConfigError(Location(file, error.lineno), message))
    except ParsingError as error:
        message = "expected [section], name = value or a comment"
        errors += [ConfigError(Location(file, line), message) for line, _ in error.errors]
    return parser


def _marked(line: str, number: int) -> str:
    """Append its number to a line, so that it comes out of configparser beside its text."""
    silent = not line.strip() or line.lstrip()[0] in "#;"
    return line if silent else f"{line}{_MARK}{number}"


def _option(name: str, value: str, file: str, folder: Path) -> Option:
    """Take the marks out of a value again."""
    marked = [line.partition(_MARK) for line in value.split("\n") if line]
    lines = [Line(text.strip(), Location(file, int(number))) for text, _, number in marked]
    filled = tuple(line for line in lines if line.text)
    text = OptionText("\n".join(line.text for line in filled), folder, filled)
    return Option(name, text, lines[0].location)
