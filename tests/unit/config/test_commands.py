from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout

from pxetwist.cli import COMMANDS, main
from tests.unit.config.inis import QUIET, IniCase


class Commands(IniCase):
    def run_main(self, *arguments: str) -> tuple[int, str, str]:
        """Return exit code, output and error output."""
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            try:
                code = main(arguments)
            except SystemExit as leave:
                code = int(leave.code or 0)
        return code, out.getvalue(), err.getvalue()

    def test_called_wrongly(self) -> None:
        for arguments, problem in {
            (): "a command is missing: approve, check, ",
            ("chekc",): "Unknown command: chekc",
            ("check",): "check takes one FILE",
            ("plugins", "a", "b"): "Wrong number of arguments.",
            ("--zonk",): "option --zonk not recognized",
        }.items():
            code, out, err = self.run_main(*arguments)
            self.assertEqual((code, out), (2, ""))
            self.assertTrue(err.startswith(f"pxetwist: {problem}"), err)
            self.assertEqual(err.count("\n"), 1)

    def test_help_lists_every_command(self) -> None:
        code, out, _ = self.run_main("--help")
        self.assertEqual(code, 0)
        for command in COMMANDS:
            self.assertIn(f"    {command} ", out)
            self.assertEqual(self.run_main(command, "--help")[0], 0)

    def test_version(self) -> None:
        self.assertRegex(self.run_main("--version")[1], r"^pxetwist \d+\.\d+")

    def test_check_of_mistakes(self) -> None:
        file = self.write("pxe.ini", "[pxe]\nservices = http\nzonk = 1\nstate = sqlit\n")
        code, out, err = self.run_main("check", str(file))
        self.assertEqual((code, out), (1, ""))
        self.assertEqual(len(err.splitlines()), 2, err)
        self.assertIn(f"{file}:3: [pxe] unknown option 'zonk' (known: services, ", err)
        self.assertIn(f"{file}:4: state names 'sqlit'; did you mean 'sqlite'?", err)

    def test_check_shows_all_mistakes_in_one_round(self) -> None:
        """One in [pxe] hides none in a section, a rule or a file of machines."""
        self.write("hosts.csv", "name,mac\nws1,52:54:zz\n")
        file = self.write(
            "pxe.ini",
            """
            [pxe]
            services = http
            hots = known
            policies = main
            workers = two
            [hosts:known]
            plugin = static
            file = hosts.csv
            [policy:main]
            plugin = rules
            rules =
                known -> locla
            [profile:local]
            kind = local
            [service:http]
            port = 1000000
            """,
        )
        code, out, err = self.run_main("check", str(file))
        lines = err.replace(f"{self.folder}/", "").splitlines()
        self.assertEqual((code, out), (1, ""))
        self.assertEqual(
            [line.partition(": ")[0] for line in lines],
            ["pxe.ini:3", "pxe.ini:5", "pxe.ini:16", "hosts.csv:2"],
        )

    def test_check_says_nothing_of_what_is_elsewhere(self) -> None:
        """What a misspelt option would have brought is not called missing."""
        file = self.write(
            "pxe.ini",
            """
            [pxe]
            services = http, mine
            inclde = conf.d/*.ini
            site-plugin = plugins
            hosts = rack
            policies = main
            [hosts:rack]
            plugin = ours
            [policy:main]
            plugin = rules
            rules =
                any -> there
            """,
        )
        _, _, err = self.run_main("check", str(file))
        lines = err.replace(f"{self.folder}/", "").splitlines()
        self.assertEqual(
            [line.partition(" (known")[0] for line in lines],
            [
                "pxe.ini:3: [pxe] unknown option 'inclde'; did you mean 'include'?",
                "pxe.ini:4: [pxe] unknown option 'site-plugin'; did you mean 'site-plugins'?",
            ],
        )

    def test_check_of_a_missing_file(self) -> None:
        file = self.folder / "nix.ini"
        self.assertEqual(
            self.run_main("check", str(file)),
            (1, "", f"{file}: cannot be read: No such file or directory\n"),
        )

    def test_check_finds_what_plugins_find(self) -> None:
        file = self.write(
            "pxe.ini", "[pxe]\nservices = tftp\npolicies = fixed\n[policy:fixed]\nprofile = x\n"
        )
        code, _, err = self.run_main("check", str(file))
        self.assertEqual(code, 1)
        self.assertIn(f"{file}:5: [policy:fixed] ", err)

    def test_check_of_a_good_one(self) -> None:
        self.write("plugins/quiet_for_check.py", QUIET)
        file = self.write(
            "pxe.ini", "[pxe]\nservices = quiet\nstate = memory\nsite-plugins = plugins\n"
        )
        code, out, err = self.run_main("check", str(file))
        self.assertEqual(
            (code, out, err),
            (
                0,
                "warning: policies is empty: nothing tells machines what to boot\n"
                f"{file}: no mistakes; services: quiet\n",
                "",
            ),
        )

    def test_list_of_plugins(self) -> None:
        code, out, _ = self.run_main("plugins")
        self.assertEqual(code, 0)
        self.assertIn("hosts:static           Machines from files: CSV, INI, ", out)

    def test_one_plugin(self) -> None:
        code, out, _ = self.run_main("plugins", "service:tftp")
        self.assertEqual(code, 0)
        self.assertIn("  port = a port from 0 to 65535 (default: 69)\n      UDP port", out)

    def test_no_such_plugin(self) -> None:
        self.assertEqual(
            self.run_main("plugins", "tftpp"),
            (1, "", "there is no plugin 'tftpp'; did you mean 'tftp'?\n"),
        )

    def test_plugins_of_the_site(self) -> None:
        self.write("plugins/quiet_for_list.py", QUIET)
        folder = str(self.folder / "plugins")
        _, out, _ = self.run_main("plugins", "--site-plugins", folder, "quiet")
        self.assertEqual(
            out,
            "[service:quiet]  A service for tests.  (from twisted.plugins.quiet_for_list)\n"
            "  port = a port from 0 to 65535 (default: 80)\n"
            "      A port.\n"
            "  words = a list, each text (may be left out)\n"
            "      Words.\n"
            "  fails = text (may be left out)\n"
            "      Why it cannot start.\n\n",
        )
