"""A page of HTML that shows what is in a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from pxetwist.content.text import TextContent
from pxetwist.model.content import ContentPath, Listed

_MOST = 10_000


def page(path: ContentPath, listed: Sequence[Listed]) -> TextContent:
    """Return the page of a folder, which was asked for by this path."""
    lines = [_line(path, each) for each in sorted(listed, key=lambda each: each.name)[:_MOST]]
    if len(listed) > _MOST:
        lines.append(f"<li>and {len(listed) - _MOST} more")
    title = f"Index of /{_shown(str(path))}"
    head = f'<!DOCTYPE html>\n<meta charset="utf-8">\n<title>{title}</title>\n<h1>{title}</h1>\n'
    return TextContent("\n".join([f"{head}<ul>", *lines, "</ul>", ""]), 0.0, "text/html")


def _line(path: ContentPath, listed: Listed) -> str:
    parts = (quote(os.fsencode(part), safe="") for part in (*path.parts, listed.name))
    link, name = "/" + "/".join(parts), _shown(listed.name)
    if listed.size is None:
        return f'<li><a href="{link}/">{name}/</a>'
    return f'<li><a href="{link}">{name}</a> {listed.size}'


def _shown(name: str) -> str:
    return escape(os.fsencode(name).decode("utf-8", "replace"))
