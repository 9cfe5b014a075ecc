"""Any text gives machines or mistakes by line, in every format; never another exception."""

from __future__ import annotations

from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import ConfigErrors
from pxetwist.hosts import hostfile
from pxetwist.hosts.formats.detection import AUTO, FORMATS
from tests.unit.hosts.files import SAMPLES

_WORDS = r"""
name mac uuid address serial asset client-id circuit-id remote-id groups room
null true 1e9 ignore 12h
- -- --- ... , : ; = | > & * [ ] { } ( ) " ' # \ / ! % @ ` ~ ? << &a *a é 0 1 a
52:54:00:00:00:12 525400000012 1:2:3:4:5:6 10.0.0.12 4c4c4544-0051-3510-8052-b4c04f4d3232
host group subnet shared-network hardware ethernet fixed-address option host-name filename deny
infinite dhcp-client-identifier booting dhcp-host id: set: tag: \u0000 \ud800 "\UFFFFFFFF" %YAML
"""
_BLANKS = (" ", "  ", "\n", "\r\n", "\t", "\0", "\x85", "\u2028", "\ufeff")

pieces = st.sampled_from([*_WORDS.split(), *_BLANKS]) | st.text(max_size=5)
texts = st.builds(str.join, st.sampled_from(["", " "]), st.lists(pieces, max_size=40))


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Draw a sample with something exchanged."""
    text = draw(st.sampled_from([file.read_text() for file in sorted(SAMPLES.iterdir())]))
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(start + 20, len(text))))
    return text[:start] + draw(pieces) + text[end:]


class AnyTextCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = Path(self.mktemp())

    def check(self, data: bytes, form: str) -> None:
        self.file.write_bytes(data)
        try:
            reading = hostfile.read([self.file], "test", form)
        except ConfigErrors as mistakes:
            self.assertTrue(mistakes.errors)
            lines = len(data.decode("utf-8", "replace").splitlines()) + 1
            for error in mistakes.errors:
                self.assertEqual(error.location.file, str(self.file))
                self.assertLessEqual(error.location.line, lines)
        else:
            for machine in reading.machines:
                str(machine).encode()
                self.assertTrue(machine.name)


class AnyTextTests(AnyTextCase):
    @settings(max_examples=300, deadline=None)
    @given(texts, st.sampled_from([AUTO, *FORMATS]))
    def test_words(self, text: str, form: str) -> None:
        self.check(text.encode(), form)

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=60), st.sampled_from([AUTO, *FORMATS]))
    def test_bytes(self, data: bytes, form: str) -> None:
        self.check(data, form)

    @settings(max_examples=100, deadline=None)
    @given(mutated(), st.sampled_from([AUTO, *FORMATS]))
    def test_samples_with_something_exchanged(self, text: str, form: str) -> None:
        self.check(text.encode(), form)


class PureYamlTests(AnyTextCase):
    """PyYAML may have been built without its library in C."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(yaml, "CSafeLoader", yaml.SafeLoader)

    @settings(max_examples=100, deadline=None)
    @given(texts)
    def test_words(self, text: str) -> None:
        self.check(text.encode(), "yaml")

    def test_what_it_raises(self) -> None:
        for text in ('"\\UFFFFFFFF"', "%YAML 1." + "9" * 5000, "[" * 5000, '"\\ud800"', "\0"):
            self.check(text.encode(), "yaml")
