"""Templates find and call their variables as they do with Jinja's own context."""

from __future__ import annotations

from functools import partial

import jinja2
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.content.context import Later, QuickContext


class ContextTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked: list[str] = []
        loader = jinja2.DictLoader({"part": "{{ token }}"})
        self.environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined)
        self.environment.context_class = QuickContext

    def fill(self, text: str) -> str:
        return self.environment.from_string(text).render(
            join=lambda *words, sep="-": sep.join(words),
            bound=partial("x".join, ["1", "2"]),
            upper="a".upper,
            token=Later(self.token),
        )

    def token(self) -> str:
        self.asked.append("token")
        return "T"

    def test_calls(self) -> None:
        text = "{% for word in 'ab' %}{{ join(word, 'c', sep='+') }} {% endfor %}{{ bound() }}"
        self.assertEqual(self.fill(text + "{{ upper() }}"), "a+c b+c 1x2A")
        macro = (
            "{% macro m(x) %}<{{ x }}{{ caller() }}>{% endmacro %}{% call m(1) %}in{% endcall %}"
        )
        self.assertEqual(self.fill(macro), "<1in>")
        self.assertEqual(self.fill("{{ range(3) | list }}{{ dict(a=1).a }}"), "[0, 1, 2]1")
        self.assertRaises(jinja2.UndefinedError, self.fill, "{{ none_of_that() }}")

    def test_what_is_worked_out_when_it_is_looked_at(self) -> None:
        self.assertEqual(self.fill("{% if 0 %}{{ other }}{% endif %}x"), "x")
        self.assertEqual(self.asked, [])
        text = "{% set a = 1 %}{{ token }}{{ token ~ '/x' }}{{ token + 'y' }}{% include 'part' %}"
        self.assertEqual(self.fill(text), "TT/xTyT")
