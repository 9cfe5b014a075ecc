from __future__ import annotations

import textwrap
from ipaddress import IPv4Address, IPv4Network

from pxetwist.boot.loaders import Loader
from pxetwist.config.load import unusable
from pxetwist.model.lease import Network, Pool
from pxetwist.plugins import PluginFactory, Provided, discover
from tests.unit.config.inis import QUIET, IniCase

HEAD = """
[pxe]
services = quiet
state = memory
observers =
site-plugins = plugins
"""


class Loading(IniCase):
    def setUp(self) -> None:
        super().setUp()
        self.write("plugins/quiet_for_load.py", QUIET)

    def test_instances_in_order(self) -> None:
        configuration = self.load(
            """
            [pxe]
            services = second, quiet, first
            state = memory
            observers =
            site-plugins = plugins
            [service:first]
            plugin = quiet
            port = 1
            [service:second]
            plugin = quiet
            port = 2
            words = a b
            """
        )
        services = configuration.of_kind("service")
        self.assertEqual([s.name for s in services], ["second", "quiet", "first"])
        self.assertEqual([s.settings.port for s in services], [2, 80, 1])
        self.assertEqual([s.location.line for s in services], [9, 2, 6])
        self.assertEqual(services[0].settings.words, ("a", "b"))
        self.assertEqual([s.name for s in configuration.of_kind("state")], ["memory"])
        self.assertEqual(configuration.state_folder, self.folder / "var")

    def test_an_option_is_named_once(self) -> None:
        mistakes = self.mistakes(
            HEAD.replace("[pxe]", "[pxe]\nhosts = web")
            + "[hosts:web]\nplugin = http\nurl = http://x/{mca}\nfields = nmae = x\n"
        )
        self.assertEqual(
            [mistake.partition("] ")[2].partition(" unknown")[0] for mistake in mistakes],
            ["url:", "fields:"],
        )

    def test_a_layer_that_is_there_twice(self) -> None:
        mistakes = self.mistakes(
            HEAD
            + "[export:x]\nplugin = overlay\nlayers = a, b, a\n"
            + "".join(f"[export:{name}]\nplugin = directory\npath = /{name}\n" for name in "ab")
        )
        self.assertEqual(mistakes, ["pxe.ini:6: [export:x] layers names a twice"])

    def test_roots_without_a_path(self) -> None:
        for root in ("nfs://", "nfs://filer", "nfs:///srv"):
            [mistake] = self.mistakes(
                HEAD + f"[profile:x]\nkind = linux\nkernel = linux\nroot = {root}\n"
            )
            self.assertIn("[profile:x] root: expected a root like nfs://filer/path", mistake)

    def test_exports(self) -> None:
        configuration = self.load(
            HEAD
            + """
[export:desktop]
plugin = directory
path = trees/desktop
[profile:desktop]
kind = linux
kernel = vmlinuz
root = export:desktop/a
"""
        )
        [export] = configuration.of_kind("export")
        self.assertEqual(export.name, "desktop")
        self.assertEqual(export.settings.path, self.folder / "trees/desktop")

    def test_mistakes_in_roots(self) -> None:
        errors = self.mistakes(
            HEAD
            + """
[export:desktop]
plugin = directory
path = trees/desktop
[profile:a]
kind = linux
kernel = vmlinuz
root = export:destkop
[profile:b]
kind = linux
kernel = vmlinuz
root = export:desktop/../x
[export:other]
"""
        )
        self.assertEqual(
            errors,
            [
                "pxe.ini:13: [profile:a] root: there is no [export:destkop];"
                " did you mean 'desktop'?",
                "pxe.ini:17: [profile:b] root: expected a root like export:NAME or"
                " export:NAME/folder, got 'export:desktop/../x'",
                "pxe.ini:18: [export:other] plugin is missing: one of"
                " directory, image, iso, machines, overlay",
            ],
        )

    def test_subnet(self) -> None:
        configuration = self.load(
            HEAD
            + """
[subnet:lab]
network = 10.0.0.0/24
pool = 10.0.0.100 - 10.0.0.120
    10.0.0.130 - 10.0.0.140
routers = 10.0.0.1
name-servers = 10.0.0.2, 10.0.0.3
time-servers = 10.0.0.4
domain = lab.example
lease-time = 2h
authoritative = yes
option.interface-mtu = 1400
option.224 = hex:0a 0b
option.65 = 10.0.0.9
"""
        )
        self.assertEqual(
            configuration.networks,
            {
                "lab": Network(
                    "lab",
                    IPv4Network("10.0.0.0/24"),
                    (
                        Pool(IPv4Address("10.0.0.100"), IPv4Address("10.0.0.120")),
                        Pool(IPv4Address("10.0.0.130"), IPv4Address("10.0.0.140")),
                    ),
                    (IPv4Address("10.0.0.1"),),
                    (IPv4Address("10.0.0.2"), IPv4Address("10.0.0.3")),
                    (IPv4Address("10.0.0.4"),),
                    "lab.example",
                    7200,
                    True,
                    {26: b"\x05\x78", 224: b"\x0a\x0b", 65: b"\x0a\x00\x00\x09"},
                )
            },
        )

    def test_loaders(self) -> None:
        configuration = self.load(
            HEAD + "[loader:mine]\narchitecture = x64\nfamily = ipxe\nfile = own/ipxe.efi\n"
        )
        self.assertEqual(configuration.loaders, (Loader("x64", "ipxe", "own/ipxe.efi", "mine"),))

    def test_all_mistakes_together_in_their_order(self) -> None:
        self.write("conf.d/more.ini", "[subnet:b]\nnetwork = 10.0.0.1/24\n")
        self.assertEqual(
            self.mistakes(
                """
                [pxe]
                services = quiet, quite, quiet
                hosts = rack
                policies = zzz
                state = memory
                observers = log, chatty
                include = conf.d/*.ini
                site-plugins = plugins
                [policy:old]
                [service:quiet]
                port = http
                prot = 1
                [observer:chatty]
                [hosts:rack]
                plugin = statik
                [subnet:a]
                network = 10.0.0.0/24
                pool = 10.0.1.1 - 10.0.1.2
                [subnet:c]
                option.zonk = 1
                option.domain-nam = x
                option = 7
                option.mtu.x = 1
                [servcie:x]
                [loader]
                [profile:x]
                kind = linus
                """
            ),
            [
                "pxe.ini:2: services names 'quite'; did you mean 'quiet'?",
                "pxe.ini:4: policies names 'zzz', but there is no section [policy:zzz] and no"
                f" such plugin (known: {', '.join(discover([]).names('policy'))})",
                "pxe.ini:9: section [policy:old] is never used",
                "pxe.ini:10: services names 'quiet' twice",
                "pxe.ini:11: [service:quiet] port: expected a port from 0 to 65535, got 'http'",
                "pxe.ini:12: [service:quiet] unknown option 'prot'; did you mean 'port'?"
                " (known: port, words, fails)",
                "pxe.ini:13: [observer:chatty] plugin is missing: one of log",
                "pxe.ini:15: [hosts:rack] plugin: there is no hosts plugin 'statik'; did you mean"
                " 'static'?",
                "pxe.ini:18: [subnet:a] pool: 10.0.1.1 - 10.0.1.2 is not in 10.0.0.0/24",
                "pxe.ini:19: [subnet:c] network is missing: The network and its mask.",
                "pxe.ini:20: [subnet:c] option.zonk: 'zonk' is no DHCP option; its number will"
                " do as well",
                "pxe.ini:21: [subnet:c] option.domain-nam: 'domain-nam' is no DHCP option; did"
                " you mean 'domain-name'?",
                "pxe.ini:22: [subnet:c] option: '' is no DHCP option; its number will do as well",
                "pxe.ini:23: [subnet:c] option.mtu.x: 'mtu.x' is no DHCP option; its number will"
                " do as well",
                "pxe.ini:24: there is no kind of section 'servcie'; did you mean 'service'?",
                "pxe.ini:25: section [loader] needs a name: [loader:NAME]",
                "pxe.ini:27: [profile:x] kind: expected linux, windows, esxi, local, script, nbp,"
                " image, iscsi, raspberry-pi, menu or silence, got 'linus'",
                "conf.d/more.ini:2: [subnet:b] network: expected an IPv4 network like"
                " 10.0.0.0/24, got '10.0.0.1/24'; did you mean 10.0.0.0/24?",
            ],
        )

    def test_a_section_that_was_meant_is_not_called_unused(self) -> None:
        self.assertEqual(
            self.mistakes(
                """
                [pxe]
                services = quiet
                hosts = ldpa
                state = memory
                site-plugins = plugins
                [hosts:ldap]
                plugin = static
                """
            ),
            ["pxe.ini:3: hosts names 'ldpa'; did you mean 'ldap'?"],
        )

    def test_without_pxe(self) -> None:
        self.assertEqual(self.mistakes("[hosts:x]\n"), ["pxe.ini: there is no section [pxe]"])

    def test_nothing_to_serve(self) -> None:
        self.assertEqual(
            self.mistakes("[pxe]\nservices =\n"),
            ["pxe.ini:1: [pxe] services is empty: nothing would listen"],
        )
        self.assertEqual(
            self.mistakes("[pxe]\n"),
            [
                "pxe.ini:1: [pxe] services is missing: What listens; started in this order,"
                " stopped in reverse."
            ],
        )

    def test_a_dependency_that_is_not_installed(self) -> None:
        self.write(
            "plugins/lacking.py",
            """
            from pxetwist.plugins import PluginFactory
            lacking = PluginFactory("hosts", "lacking", "twisted.plugins.lacking_code")
            """,
        )
        self.assertEqual(
            self.mistakes(HEAD + "hosts = lacking\n"),
            [
                "pxe.ini:6: [hosts:lacking] plugin 'lacking' of twisted.plugins.lacking:"
                " ModuleNotFoundError: No module named 'twisted.plugins.lacking_code'"
            ],
        )

    def test_a_broken_plugin_is_the_only_mistake(self) -> None:
        """Built-in plugins are there, and what it may have provided is not asked for."""
        self.write("plugins/broken_alone.py", "def\n")
        ini = HEAD + "hosts = mine, known\n[hosts:known]\nplugin = static\nfile = x.csv\n"
        self.assertEqual(
            self.mistakes(ini + "[hosts:mine]\n"), ["plugins/broken_alone.py:1: invalid syntax"]
        )

    def test_settings_with_mistakes_of_their_author(self) -> None:
        """They are named with section and option, not by a traceback."""
        head = """
            from __future__ import annotations
            import attrs
            from pxetwist.config.fields import integer, option
            from pxetwist.plugins import PluginFactory
            {0} = PluginFactory("hosts", "{0}", __name__)
            """
        options = "option(lambda text: {}[text], default=0, doc='Raises.')"
        for name, body in {
            "plain_one": "class Settings:\n    size = 5",
            "bare_field": "@attrs.frozen\nclass Settings:\n    size: int",
            "raising_one": f"@attrs.frozen\nclass Settings:\n    size: int = {options}",
        }.items():
            self.write(f"plugins/{name}.py", textwrap.dedent(head).format(name) + body + "\n")
        ini = HEAD + "hosts = plain_one, bare_field, raising_one\n"
        plain, bare, raising = self.mistakes(ini + "[hosts:raising_one]\nsize = 7\n")
        self.assertIn("[hosts:plain_one] plugin 'plain_one': its Settings: NotAnAttrs", plain)
        self.assertIn("[hosts:bare_field] plugin 'bare_field': its Settings: TypeError:", bare)
        self.assertEqual(
            raising, "pxe.ini:8: [hosts:raising_one] size: KeyError: '7' (raising_one.py:8)"
        )

    def test_an_extra_that_is_not_installed(self) -> None:
        provided = Provided("hosts", "dev", "x", lambda: PluginFactory("hosts", "dev", "x"))
        self.assertEqual(
            unusable(provided, ModuleNotFoundError("No module named 'x'")),
            "plugin 'dev' needs: pip install 'pxetwist[dev]'",
        )
