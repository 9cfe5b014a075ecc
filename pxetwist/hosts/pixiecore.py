"""What a back end of pixiecore's answers (its API, version 1), as labels of a machine.

The labels begin with ``pixiecore.``; the policy ``pixiecore`` makes a plan of them.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urljoin

#: A text in a template of Go: quoted as in Go, which is nearly JSON, or raw between backquotes.
_URL = re.compile(r"\{\{-?\s*URL\s+(\"(?:[^\"\\]|\\.)*\"|`[^`]*`)\s*-?\}\}")


def facts_of(document: Any, api: str, mac: str) -> dict[str, Any]:
    """Return the facts of the machine with this MAC; paths in URLs are resolved against `api`.

    :raises ValueError: if the answer is not of pixiecore's form.
    """
    if not isinstance(document, dict):
        raise ValueError("expected an object")
    facts = {"name": mac.replace(":", "-"), "mac": mac}
    script = document.get("ipxe-script")
    if script:
        return {**facts, "pixiecore.script": _text(script, "ipxe-script")}
    initrds = document.get("initrd") or []
    if not isinstance(initrds, list):
        raise ValueError(f"initrd: expected a list, got {initrds!r}")
    return {
        **facts,
        "pixiecore.kernel": _url(document.get("kernel"), "kernel", api),
        "pixiecore.initrd": " ".join(_url(each, "initrd", api) for each in initrds),
        "pixiecore.cmdline": _cmdline(document.get("cmdline"), api),
        "pixiecore.message": _text(document.get("message") or "", "message"),
    }


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name}: expected a text, got {value!r}")
    return value


def _url(value: Any, name: str, api: str) -> str:
    text = _text(value, name)
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError(f"{name}: expected a URL, got {text!r}")
    return urljoin(f"{api.rstrip('/')}/v1", text)


def _cmdline(value: Any, api: str) -> str:
    match value:
        case None:
            text = ""
        case str():
            text = _URL.sub(lambda found: _url(_go_text(found[1]), "cmdline", api), value)
        case dict():
            text = " ".join(_argument(name, value[name], api) for name in sorted(value))
        case _:
            raise ValueError(f"cmdline: expected a text or an object, got {value!r}")
    if "{{" in text:
        raise ValueError(f'cmdline: of templates only {{{{ URL "…" }}}} is known, got {text!r}')
    return text


def _argument(name: str, value: Any, api: str) -> str:
    match value:
        case bool():
            return name
        case str():
            return f"{name}={json.dumps(value, ensure_ascii=False)}"
        case {"url": url}:
            return f"{name}={_url(url, 'cmdline', api)}"
    raise ValueError(f"cmdline: {name}: expected a text, true or an object with a url")


def _go_text(quoted: str) -> str:
    try:
        return quoted[1:-1] if quoted[0] == "`" else str(json.loads(quoted))
    except ValueError:
        raise ValueError(f"cmdline: expected a quoted URL, got {quoted}") from None
