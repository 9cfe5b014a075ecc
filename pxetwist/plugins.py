"""How code becomes a plugin: a factory that names a module and imports it when it is needed.

The module holds a frozen attrs class ``Settings`` of :func:`pxetwist.config.fields.option`
fields and a function ``build(settings, site)``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from pxetwist.interfaces import IPluginFactory, Site

#: The kinds of plugins, as the INI spells them, and the interface of what they build.
KINDS = {
    "hosts": "IHostDirectory",
    "policy": "IBootPolicy",
    "state": "ILeaseStore",
    "content": "IContentStore",
    "observer": "IBootObserver",
    "service": "IBootService",
}


@implementer(IPlugin, IPluginFactory)
@attrs.frozen
class PluginFactory:
    """A plugin by the dotted name of its module; nothing is imported before it is used."""

    kind: str
    name: str
    module: str
    summary: str = ""

    def settings(self) -> type:
        """Return the module's ``Settings``."""
        return import_module(self.module).Settings  # type: ignore[no-any-return]

    def build(self, settings: Any, site: Site) -> object:
        """Call the module's ``build``."""
        return import_module(self.module).build(settings, site)
