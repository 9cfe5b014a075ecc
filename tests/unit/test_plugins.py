from __future__ import annotations

import os
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import twisted.plugins

from pxetwist import plugins
from pxetwist.errors import ConfigError, Location
from pxetwist.interfaces import IPluginFactory
from pxetwist.plugins import KINDS, Catalogue, discover
from tests.unit.config.inis import QUIET, IniCase

WHERE = Location("pxe.ini", 3)


class Discovery(IniCase):
    def discover(self, folder: str = "plugins") -> tuple[Catalogue, list[str]]:
        errors: list[ConfigError] = []
        catalogue = discover(errors, self.folder / folder, WHERE)
        return catalogue, [str(error).replace(f"{self.folder}/", "") for error in errors]

    def test_built_in_plugins_can_be_used(self) -> None:
        errors: list[ConfigError] = []
        catalogue = discover(errors)
        self.assertEqual(errors, [])
        for kind in KINDS:
            self.assertNotEqual(catalogue.names(kind), [], kind)
        for provided in catalogue.provided.values():
            factory = provided.load()
            self.assertTrue(factory.summary)
            self.assertTrue(isinstance(factory.settings(), type))

    def test_site_folder(self) -> None:
        self.write("plugins/a_quiet_one.py", QUIET)
        catalogue, errors = self.discover()
        self.assertEqual(errors, [])
        found = catalogue.get("service", "quiet")
        assert found is not None
        self.assertEqual(found.source, "twisted.plugins.a_quiet_one")
        self.assertTrue(IPluginFactory.providedBy(found.load()))

    def test_a_broken_plugin_of_the_site(self) -> None:
        self.write("plugins/broken_syntax.py", "a = 1\ndef\n")
        self.write("plugins/broken_import.py", "\n\nimport no_such_module\n")
        self.write("plugins/broken_call.py", "def f():\n    raise KeyError('x')\n\nf()\n")
        _, errors = self.discover()
        self.assertEqual(
            errors,
            [
                "plugins/broken_call.py:2: KeyError: 'x'",
                "plugins/broken_import.py:2: ModuleNotFoundError: No module named"
                " 'no_such_module'",
                "plugins/broken_syntax.py:2: invalid syntax",
            ],
        )
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_broken_plugin_hides_no_others(self) -> None:
        self.write("plugins/broken_among_others.py", "def\n")
        self.write("plugins/quiet_among_others.py", QUIET)
        for _ in range(2):  # the INI is read again at SIGHUP
            catalogue, errors = self.discover()
            self.assertEqual(errors, ["plugins/broken_among_others.py:1: invalid syntax"])
            self.assertFalse(catalogue.whole)
            for kind, name in (("hosts", "static"), ("service", "quiet")):
                self.assertIsNotNone(catalogue.get(kind, name))

    def test_a_kind_that_there_is_not(self) -> None:
        self.write(
            "plugins/of_no_kind.py",
            """
            from pxetwist.plugins import PluginFactory
            mine = PluginFactory("host", "mine", __name__)
            """,
        )
        _, [error] = self.discover()
        self.assertEqual(
            error,
            f"plugins/of_no_kind.py: mine: expected a kind of {', '.join(KINDS)}, got 'host'",
        )

    def test_missing_folder(self) -> None:
        _, errors = self.discover("nix")
        self.assertEqual(errors, ["pxe.ini:3: [pxe] site-plugins: there is no folder nix"])

    def test_what_others_may_write_is_not_run(self) -> None:
        file = self.write("plugins/never_run.py", "raise AssertionError")
        file.chmod(0o664)
        _, errors = self.discover()
        self.assertEqual(
            errors,
            [
                "pxe.ini:3: [pxe] site-plugins: others may write plugins/never_run.py;"
                " mend: chmod go-w plugins/never_run.py, owned by root or the server's user"
            ],
        )
        file.chmod(0o644)
        file.parent.chmod(0o777)
        _, errors = self.discover()
        self.assertIn("others may write plugins;", errors[0])

    def test_files_of_a_stranger_are_not_run(self) -> None:
        self.write("plugins/of_a_stranger.py", "raise AssertionError")
        self.patch(os, "geteuid", lambda: 4711)
        stranger = (self.folder / "plugins").stat().st_uid != 0
        if not stranger:
            os.chown(self.folder / "plugins/of_a_stranger.py", 4712, 4712)
        _, errors = self.discover()
        self.assertIn("others may write plugins", errors[0])

    def test_the_same_plugin_from_two_sources(self) -> None:
        self.write(
            "plugins/another_static.py",
            """
            from pxetwist.plugins import PluginFactory
            mine = PluginFactory("hosts", "static", "nowhere")
            """,
        )
        _, errors = self.discover()
        self.assertEqual(len(errors), 1)
        self.assertIn("hosts plugin 'static' comes from twisted.plugins.", errors[0])
        for module in ("twisted.plugins.pxetwist_dropin", "twisted.plugins.another_static"):
            self.assertIn(module, errors[0])

    def test_a_module_with_the_name_of_another(self) -> None:
        self.write("plugins/pxetwist_dropin.py", "")
        _, errors = self.discover()
        there = str(Path(twisted.plugins.__path__[0]))
        self.assertIn("there is another plugin module of this name: ", errors[0])
        self.assertNotIn(there, errors[0].partition(":")[0])

    def test_entry_points_are_loaded_when_used(self) -> None:
        places = {
            "good": "twisted.plugins.pxetwist_dropin:static",
            "bad": "no_such_module:x",
            "odd": "os:path",
        }
        hosts = [EntryPoint(name, place, "pxetwist.hosts") for name, place in places.items()]
        others = EntryPoint("other", "no_such_module:x", "console_scripts")
        self.patch(plugins, "entry_points", lambda: EntryPoints([*hosts, others]))
        errors: list[ConfigError] = []
        catalogue = discover(errors)
        self.assertEqual(errors, [])
        good, bad, odd = (catalogue.provided["hosts", name] for name in ("good", "bad", "odd"))
        self.assertEqual(good.load().name, "static")
        self.assertRaises(ModuleNotFoundError, bad.load)
        self.assertRaises(TypeError, odd.load)
