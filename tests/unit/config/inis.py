"""What tests of the configuration share: a folder with an INI in it, and plugins of the site."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from tempfile import TemporaryDirectory

import twisted.plugins
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.config.load import Configuration, load
from pxetwist.errors import ConfigErrors

#: A service that listens on nothing, and notes what is done to it.
QUIET = """
    import attrs
    from twisted.application.service import Service
    from twisted.plugin import IPlugin
    from zope.interface import implementer
    from pxetwist.config.fields import list_of, option, port, text
    from pxetwist.errors import StartError
    from pxetwist.interfaces import IBootService, IPluginFactory, IReloads

    JOURNAL = []

    @attrs.frozen
    class Settings:
        port: int = option(port, default=80, doc="A port.")
        words: tuple[str, ...] = option(list_of(text), default=(), doc="Words.")
        fails: str = option(text, default="", doc="Why it cannot start.")

    @implementer(IBootService, IReloads)
    class Quiet(Service):
        def __init__(self, settings, site):
            self.settings, self.site = settings, site
        def privilegedStartService(self):
            if self.settings.fails:
                raise StartError(self.settings.fails)
            JOURNAL.append("bind " + self.site.name)
        def startService(self):
            super().startService()
            JOURNAL.append("start " + self.site.name)
        def stopService(self):
            JOURNAL.append("stop " + self.site.name)
        def reload(self):
            JOURNAL.append("reload " + self.site.name)
        def listening(self):
            return ()

    @implementer(IPlugin, IPluginFactory)
    @attrs.frozen
    class Factory:
        kind: str
        name: str
        summary: str = "A service for tests."
        def settings(self):
            return Settings
        def build(self, settings, site):
            return Quiet(settings, site)

    quiet = Factory("service", "quiet")
"""


class IniCase(SynchronousTestCase):
    """Has a folder of its own; messages name files relative to it."""

    def setUp(self) -> None:
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.addCleanup(self._forget, list(twisted.plugins.__path__), set(sys.modules))

    def _forget(self, paths: list[str], modules: set[str]) -> None:
        twisted.plugins.__path__[:] = paths
        for name in set(sys.modules) - modules:
            if str(self.folder) in str(getattr(sys.modules[name], "__file__", None)):
                delattr(twisted.plugins, name.rpartition(".")[2])
                del sys.modules[name]

    def write(self, name: str, content: str) -> Path:
        """Write a file; common indentation is taken off."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        file.write_text(textwrap.dedent(content).removeprefix("\n"))
        file.chmod(0o644)
        return file

    def load(self, content: str) -> Configuration:
        """Load an INI."""
        return load(self.write("pxe.ini", content))

    def mistakes(self, content: str) -> list[str]:
        """Load an INI and return all that is wrong with it."""
        errors = self.assertRaises(ConfigErrors, self.load, content).errors
        return [str(error).replace(f"{self.folder}/", "") for error in errors]
