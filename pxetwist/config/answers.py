"""The options of ``[profile:NAME]`` that say what an installer is answered."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import attrs

from pxetwist.boot.https import Https
from pxetwist.config.fields import Keyed, OptionText, boolean, option, seconds, secret_file
from pxetwist.config.ini import Section
from pxetwist.errors import ConfigError
from pxetwist.model.answer import CREDENTIALS, LIFE, Answer, Value
from pxetwist.model.families import ANSWERED, names_answer
from pxetwist.model.profile import BootProfile

_FILE = "file:"
_TEMPLATE = re.compile(r"[A-Za-z0-9][\w.-]*")
_NAME = re.compile(r"[a-z][a-z0-9-]*")


def _entry(key: str, value: str) -> tuple[str, Value]:
    """Read ``answer = TEMPLATE``, ``answer.NAME = VALUE`` or ``answer.NAME = file:PATH``."""
    pattern, what = (_NAME, f"{key!r} is no name") if key else (_TEMPLATE, "no name of a file")
    if not pattern.fullmatch(key or value):
        raise ValueError(f"{what}; it is spelled like {pattern.pattern}")
    if key and value.startswith(_FILE):
        name = value.removeprefix(_FILE).strip()
        return key, Value(secret_file(OptionText.of(value).part(name)), name)
    return key, Value(str(value))


@attrs.frozen
class AnswerOptions:
    """How an installer is answered."""

    answer: dict[str, Value] = option(
        Keyed("the name of a template; answer.NAME is text, or file:PATH", _entry),
        default=attrs.Factory(dict),
        doc="Of linux: the template of the answers to its installer, which is told where they"
        " are. `answer.NAME` is the value of a variable of the template; of windows and esxi: of"
        " the files that are made. `file:PATH` is a secret that stands in a file.",
    )
    secret: bool | None = option(
        boolean,
        default=None,
        doc="Whether the answers are for that machine alone, over TLS; yes if a value is secret.",
    )
    secret_plain: bool = option(
        boolean, default=False, doc="Let secret answers cross the network in the clear."
    )
    secret_once: bool = option(
        boolean, default=False, doc="Give each file of secret answers once in a boot."
    )
    secret_life: float = option(
        seconds, default=LIFE, doc="So long secret answers may be fetched, from the boot on."
    )


def read_answer(
    found: AnswerOptions,
    section: Section,
    family: str,
    arguments: Collection[str],
    errors: list[ConfigError],
) -> Answer | None:
    """Make the answer of a profile; `None`: it has none, or a mistake."""
    template = found.answer.get("")
    if template is None:
        options = (each for each in section.options if each.startswith(("answer.", "secret")))
        for name in options:
            errors.append(section.error("there is no answer = TEMPLATE", name))
        return None
    if family not in ANSWERED and not any(map(names_answer, arguments)):
        word = (
            f"kernels of the family {family} cannot be told where answers are: give the profile"
            f" the right family ({', '.join(ANSWERED)}), or write {{{{ answer }}}} into arguments"
        )
        errors.append(section.error(word, "answer"))
        return None
    return _answer(found, section, "answer", errors)


def read_values(
    found: AnswerOptions, section: Section, errors: list[ConfigError]
) -> Answer | None:
    """Make the values for what machines that install Windows or ESXi are given; `None`: there are
    none, or there is a mistake.
    """
    if "" in found.answer:
        word = "what machines are given is files.NAME here, and answer.NAME a value for it"
        errors.append(section.error(word, "answer"))
        return None
    said = [name for name in section.options if name.startswith(("answer.", "secret"))]
    return _answer(found, section, said[0], errors) if said else None


def read_credentials(
    found: AnswerOptions, section: Section, errors: list[ConfigError]
) -> Answer | None:
    """Make what a machine logs in to an iSCSI target with, which is always secret; `None`: it
    need not, or there is a mistake.
    """
    if not found.answer:
        return None
    before = len(errors)
    for user, secret in (("chap-user", "chap-secret"), ("reverse-user", "reverse-secret")):
        given = [name for name in (user, secret) if name in found.answer]
        if len(given) == 1:
            word = f"answer.{user} and answer.{secret} go together"
            errors.append(section.error(word, f"answer.{given[0]}"))
    if "" in found.answer or "chap-user" not in found.answer:
        word = "a login has answer.chap-user and answer.chap-secret, and no template"
        errors.append(section.error(word, next(iter(section.options))))
    if len(errors) > before:
        return None
    made = _answer(found, section, "answer.chap-user", errors)
    return attrs.evolve(made, template=CREDENTIALS, secret=True)


def _answer(
    found: AnswerOptions, section: Section, option: str, errors: list[ConfigError]
) -> Answer:
    files = [name for name, value in found.answer.items() if value.file]
    if files and found.secret is False:
        word = f"answer.{files[0]} is a secret; leave this out, or give it as text"
        errors.append(section.error(word, "secret"))
    template = found.answer.get("")
    return Answer(
        profile=section.name,
        template=template.text if template else "",
        values={name.replace("-", "_"): each for name, each in found.answer.items() if name},
        secret=bool(files) or bool(found.secret),
        plain=found.secret_plain,
        once=found.secret_once,
        life=found.secret_life,
        location=section.options[option].location,
    )


def answers_in_the_clear(profiles: Collection[BootProfile], https: Https) -> Iterator[ConfigError]:
    """Yield secret answers for which there is no TLS, nor the word that they need none."""
    if https.port is not None or https.certified is not None:
        return
    for profile in profiles:
        answer = profile.answer
        if answer is not None and answer.secret and not answer.plain:
            message = (
                f"[profile:{profile.name}] answer is secret, and needs [service:https]; or let it"
                " cross the network in the clear: secret-plain = yes"
            )
            yield ConfigError(answer.location, message)
