"""How Sphinx builds these pages; the reference is written from the code before they are read."""

from __future__ import annotations

import runpy
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent

runpy.run_path(str(HERE / "generate_reference.py"))["write"](HERE / "reference")

project = "pxetwist"
version = release = version_of("pxetwist")
html_theme = "alabaster"
html_theme_options = {"description": "A network boot server, and able to say why"}
html_show_copyright = False
exclude_patterns = ["_build", "plugins/example"]
highlight_language = "none"
