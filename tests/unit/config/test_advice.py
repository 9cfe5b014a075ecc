from __future__ import annotations

import os
import pwd

from twisted.internet.task import Clock

from pxetwist.config.advice import advice
from pxetwist.config.assemble import assemble
from tests.unit.config.inis import IniCase

HEAD = """
[pxe]
services = tftp
policies = fixed
state = memory
content = files, rendered
[policy:fixed]
profile = x
[content:files]
plugin = directory
root = content
"""


class Advice(IniCase):
    def setUp(self) -> None:
        super().setUp()
        self.write("content/linux", "")
        self.write("content/loaders/snponly.efi", "")
        self.write("content/loaders/shimx64.efi", "")

    def advice(self, content: str) -> list[str]:
        return advice(self.load(content))

    def test_nothing_to_say(self) -> None:
        self.assertEqual(
            self.advice(
                HEAD
                + "[profile:x]\nkind = linux\nkernel = /linux\ninitrds = http://10.0.0.1/initrd\n"
            ),
            [],
        )

    def test_no_policy(self) -> None:
        self.assertEqual(
            self.advice("[pxe]\nservices = tftp\n"),
            ["policies is empty: nothing tells machines what to boot"],
        )

    def test_nothing_can_be_stored(self) -> None:
        content = HEAD + "[profile:x]\nkind = linux\nkernel = linux\n"
        folder, user = self.folder / "var", pwd.getpwuid(os.geteuid()).pw_name
        self.patch(os, "access", lambda path, mode: path != self.folder)
        said = f"the user {user} may not write to the state folder {folder}"
        self.assertEqual(self.advice(content), [said])
        folder.mkdir()
        self.assertEqual(self.advice(content), [])
        full = os.statvfs_result((4096, 4096, 100, 9, 1, 0, 0, 0, 0, 255))
        self.patch(os, "statvfs", lambda path: full)
        said = (
            f"the disk of the state folder {folder} is full: no lease and no order can be stored"
        )
        self.assertEqual(self.advice(content), [said])

    def test_roots_that_nothing_serves(self) -> None:
        content = HEAD + "[profile:x]\nkind = linux\nkernel = linux\nroot = export:a\n"
        content += "[export:a]\nplugin = directory\npath = content\n"
        self.assertEqual(
            self.advice(content),
            ["[profile:x] root: export:a is not served; mend: services = …, nfs"],
        )
        self.assertEqual(self.advice(content.replace("tftp", "tftp, nfs")), [])

    def test_what_only_ipxe_loads(self) -> None:
        content = HEAD.replace("tftp", "tftp, nfs") + (
            "[profile:y]\nkind = linux\nkernel = nfs:/linux\nroot = export:a\n"
            "[export:a]\nplugin = directory\npath = content\n"
            "[profile:x]\nkind = menu\nentries = y\n"
        )
        self.assertEqual(self.advice(content), [])
        self.assertEqual(
            self.advice(content + "loader = grub\n"),
            ["menu 'x' leaves out y: grub loads nothing by NFS, only iPXE does"],
        )
        self.assertEqual(
            self.advice(content + "[service:nfs]\nportmapper = no\n"),
            [
                "[profile:y] is loaded by NFS, for which iPXE asks a portmapper; mend: portmapper"
                " = yes in [service:nfs]"
            ],
        )

    def test_images_that_are_not_built(self) -> None:
        content = HEAD.replace("rendered", "rendered, images\nstate-folder = var")
        content += "[profile:x]\nkind = linux\nkernel = images/lab/current/vmlinuz\n"
        complaint = "profile 'x' names images/lab/current/vmlinuz, which no content folder has"
        self.assertEqual(self.advice(content), [complaint])
        self.write("var/images/lab/1/vmlinuz", "")
        (self.folder / "var" / "images" / "lab" / "current").symlink_to("1")
        self.assertEqual(self.advice(content), [])

    def test_no_subnet(self) -> None:
        content = HEAD.replace("tftp", "dhcp")
        self.assertEqual(
            self.advice(content),
            ["there is no [subnet:NAME]: the dhcp service will answer nobody"],
        )
        self.assertEqual(self.advice(content + "[subnet:a]\nnetwork = 10.0.0.0/24\n"), [])

    def test_addresses_of_one_family(self) -> None:
        """What DHCPv6 sends machines to must be listened on, and so with IPv4."""
        content = HEAD.replace("tftp", "dhcp6, proxydhcp, tftp")
        content += "[subnet6:a]\nnetwork = fd77::/64\n[service:tftp]\naddresses = "
        self.assertEqual(self.advice(content + "10.0.0.1, fd77::1"), [])
        self.assertEqual(
            self.advice(content + "10.0.0.1"),
            ["[service:tftp] addresses names none of IPv6, where dhcp6 sends machines"],
        )
        self.assertEqual(
            self.advice(content + "::"),
            ["[service:tftp] addresses names none of IPv4, where proxydhcp sends machines"],
        )

    def test_no_scripts(self) -> None:
        content = HEAD.replace("files, rendered", "files")
        content += "[profile:x]\nkind = linux\nkernel = linux\n"
        self.assertEqual(
            self.advice(content), ["content names no rendered: no loader gets the script of x"]
        )

    def test_grub_does_not_know_proxydhcp(self) -> None:
        content = HEAD + "[profile:x]\nkind = linux\nkernel = linux\nloader = grub\n"
        self.assertEqual(self.advice(content), [])
        self.assertEqual(
            self.advice(content.replace("tftp", "tftp, proxydhcp")),
            [
                "profile 'x' needs GRUB, which does not know ProxyDHCP: it asks the other DHCP"
                " server for its files"
            ],
        )

    def test_labels_of_machines_for_proxydhcp(self) -> None:
        """With file and line; a directory that cannot list its machines does not hide others."""
        hosts = "name,mac,proxy-offer\na,52:54:00:00:00:01,auto\nb,52:54:00:00:00:02,ful\n"
        file = self.write("hosts.csv", hosts)
        content = HEAD.replace("tftp", "proxydhcp\nhosts = lab, other") + (
            "[hosts:lab]\nplugin = static\nfile = hosts.csv\n[profile:x]\nkind = local\n"
            "[hosts:other]\nplugin = http\nurl = http://10.0.0.1/{mac}\nfields = name = name\n"
        )
        for text, count in ((content, 1), (content.replace("proxydhcp", "tftp"), 0)):
            configuration = self.load(text)
            lines = advice(configuration, assemble(configuration, Clock()).built)
            told = [line for line in lines if "proxy-offer" in line]
            self.assertEqual(len(told), count, lines)
            for line in told:
                self.assertIn(f"{file}:3: machine b: proxy-offer: expected auto or some", line)

    def test_labels_that_say_how_to_boot(self) -> None:
        rows = ("native,1024", "ipxe,", "nativ,", ",7", ",1k")
        hosts = "".join(f"m{n},52:54:00:00:00:0{n},{row}\n" for n, row in enumerate(rows))
        file = self.write("hosts.csv", f"name,mac,loader,tftp-block-size\n{hosts}")
        content = HEAD.replace("tftp", "tftp\nhosts = lab") + (
            "[hosts:lab]\nplugin = static\nfile = hosts.csv\n[profile:x]\nkind = local\n"
            "[loader:native]\narchitecture = x64\nfamily = ipxe\nfile = z.efi\n"
        )
        configuration = self.load(content)
        lines = advice(configuration, assemble(configuration, Clock()).built)
        expected = "a number of bytes from 8 on"
        self.assertEqual(
            [line for line in lines if "expected" in line],
            [
                f"{file}:4: machine m2: loader: expected ipxe, grub, pxelinux, or the NAME of a"
                " [loader:NAME], got 'nativ'; did you mean 'native'?",
                f"{file}:5: machine m3: tftp-block-size: expected {expected}, got '7'",
                f"{file}:6: machine m4: tftp-block-size: expected {expected}, got '1k'",
            ],
        )

    def test_databases_that_are_not_there(self) -> None:
        content = HEAD.replace("state = memory", "state = memory\nhosts = db") + (
            "[hosts:db]\nplugin = sql\ndatabase = sqlite:db.sqlite\n"
            "query = select mac as name from m where mac = :mac\n[profile:x]\nkind = local\n"
        )
        file = self.folder / "db.sqlite"
        for text, said in ((None, f"{file}: No such file or directory"), ("", "")):
            if text is not None:
                self.write("db.sqlite", text)
            expected = [f"[hosts:db] database: {said}"] if said else []
            self.assertEqual(self.advice(content), expected)
        self.write("db.sqlite", "name,mac\n")
        self.assertEqual(
            self.advice(content), [f"[hosts:db] database: {file} is no database of SQLite"]
        )

    def test_roots_that_are_not_there(self) -> None:
        self.write("roots/a/etc/hostname", "")
        self.write("image.iso", "no image")
        content = HEAD.replace("tftp", "tftp, nfs") + (
            "[profile:x]\nkind = linux\nkernel = linux\nroot = export:a/{folder}\n"
            "[export:a]\nplugin = directory\npath = roots/a\n"
            "[export:b]\nplugin = directory\npath = {path}\n"
            "[export:c]\nplugin = iso\npath = {image}\n"
        )
        wrong = {"folder": "tree", "path": "roots/b", "image": "image.iso"}
        self.assertEqual(
            self.advice(content.format(**wrong)),
            [
                f"[export:b] path: there is no folder {self.folder}/roots/b",
                f"[export:c] path: {self.folder}/image.iso is no ISO image",
                f"[profile:x] root: {self.folder}/roots/a has no folder tree",
            ],
        )
        told = self.advice(content.format(**{**wrong, "image": "none.iso"}))
        self.assertIn(f"[export:c] path: {self.folder}/none.iso: No such file or directory", told)
        (self.folder / "image.iso").write_bytes(bytes(0x8001) + b"CD001")
        right = {"folder": "etc", "path": "roots/a", "image": "image.iso"}
        self.assertEqual(self.advice(content.format(**right)), [])

    def test_folders_that_no_machine_sees(self) -> None:
        for name in ("machine", "groups", "common"):
            self.write(f"own/{name}/etc/hostname", "")
        content = HEAD.replace("tftp", "tftp, nfs") + "[profile:x]\nkind = local\n"
        said = "[export:own] path: no machine sees 'machine' in it; did you mean 'machines'?"
        self.assertEqual(
            self.advice(content + "[export:own]\nplugin = machines\npath = own\n"), [said]
        )

    def test_keys_that_are_none(self) -> None:
        content = HEAD.replace("tftp", "tftp, sftp") + "[profile:x]\nkind = local\n"
        content += "[service:sftp]\nkeys.alice = keys\n"
        key = f"ssh-ed25519 {'A' * 68} alice"
        for text, count in (("", 1), (f"# {key}\n", 1), ("ssh-ed25519 A\n", 1), (key, 0)):
            file = self.write("keys", text)
            said = f"[service:sftp] keys.alice: {file} has no public key: nobody can log in by it"
            self.assertEqual(self.advice(content), [said] * count)

    def test_files_that_are_not_there(self) -> None:
        content = HEAD + (
            "[profile:x]\nkind = linux\nkernel = linux\nkernel.arm64 = arm/linux\ninitrds = a b\n"
            "[profile:y]\nkind = nbp\nnbp = y.efi\n"
            "[loader:z]\narchitecture = x64\nfamily = ipxe\nfile = z.efi\n"
        )
        missing = "which no content folder has"
        self.assertEqual(
            self.advice(content),
            [
                f"profile 'x' names a, {missing}",
                f"profile 'x' names b, {missing}",
                f"profile 'x' names arm/linux, {missing}",
                f"profile 'y' names y.efi, {missing}",
                f"the ipxe loader for x64 names z.efi, {missing}",
            ],
        )

    def test_what_is_there_and_not_served(self) -> None:
        """The kernel that is a link to where the distribution keeps it, and a folder."""
        kernel = self.write("boot/vmlinuz", "")
        root = self.folder / "content"
        (root / "vmlinuz").symlink_to(kernel)
        (root / "initrd").mkdir()
        content = HEAD + "[profile:x]\nkind = linux\nkernel = vmlinuz\ninitrds = linux initrd\n"
        link = f"a symbolic link leads out of {root} to {kernel}; mend: copy or mount it there"
        self.assertEqual(
            self.advice(content),
            [
                f"vmlinuz is in {root}, and is not served: {link}",
                f"initrd is in {root}, and is not served: no regular file",
            ],
        )

    def test_menus_leave_out_what_is_not_there(self) -> None:
        content = HEAD + (
            "[profile:x]\nkind = menu\nentries = disk here there gone\n"
            "[profile:disk]\nkind = local\n"
            "[profile:here]\nkind = linux\nkernel = gone\nkernel.x64 = linux\n"
            "[profile:there]\nkind = nbp\nnbp = http://10.0.0.1/boot.efi\n"
            "[profile:gone]\nkind = linux\nkernel = linux\ninitrds = a\n"
        )
        self.assertEqual(
            self.advice(content), ["menu 'x' leaves out gone (a): no folder has their files"]
        )

    def test_no_loader(self) -> None:
        (self.folder / "content/loaders/snponly.efi").unlink()
        install = f"pxetwist loaders {self.folder / 'pxe.ini'} --install"
        line = f"no content folder has the boot loader ipxe; run: {install}"
        content = HEAD + "[profile:x]\nkind = linux\nkernel = linux\n"
        self.assertEqual(self.advice(content), [line])
        self.assertEqual(self.advice(content + "loader = grub\n"), [])
        own = "[loader:z]\narchitecture = x64\nfamily = ipxe\nfile = linux\n"
        self.assertEqual(self.advice(content + own), [])
        alone = HEAD + "[profile:x]\nkind = nbp\nnbp = linux\n"
        self.assertEqual(self.advice(alone), [])

    def test_what_host_files_say_and_is_not_taken_over(self) -> None:
        file = self.write(
            "dhcp.conf", "dhcp-range=10.0.0.1,10.0.0.9\ndhcp-host=1:2:3:4:5:6,a,1h\n"
        )
        content = HEAD.replace("state = memory", "state = memory\nhosts = old")
        content += "[hosts:old]\nplugin = static\nfile = dhcp.conf\n[profile:x]\nkind = nbp\n"
        content += "nbp = linux\n"
        lines = self.advice(content)
        self.assertEqual(len(lines), 2)
        self.assertTrue(lines[0].startswith(f"{file}:1: dhcp-range is not taken over"), lines)
        self.assertTrue(lines[1].startswith(f"{file}:2: the lease time of a single"), lines)
        file.write_text("no such format\n")
        self.assertEqual(self.advice(content), [])  # check says what is a mistake


RULES = """
[pxe]
services = tftp
policies = main
hosts = known
state = memory
content = files, rendered
[hosts:known]
plugin = static
file = hosts.csv
[content:files]
plugin = directory
root = content
[profile:base]
kind = linux
arguments = quiet
[profile:x]
extends = base
kernel.x64 = linux
[profile:y]
kind = local
[profile:z]
kind = menu
entries = y
[policy:main]
plugin = rules
rules =
    profile=* -> @profile
    roon=b12 -> z
    any -> x
"""


class AdviceOfPolicies(IniCase):
    """What policies know to be wrong, together with what directories know."""

    def setUp(self) -> None:
        super().setUp()
        for name in ("linux", "loaders/snponly.efi"):
            self.write(f"content/{name}", "")
        self.write("hosts.csv", "name,mac,room,profile\nws1,525400123456,b12,y\n")

    def advice(self, content: str) -> list[str]:
        assembly = assemble(self.load(content), Clock())
        lines = advice(assembly.configuration, assembly.built)
        return [line.replace(f"{self.folder}/", "") for line in lines]

    def test_labels_that_nobody_has(self) -> None:
        line = RULES.strip().split("\n").index("    roon=b12 -> z") + 1
        mistake = "[policy:main] rule 2: no machine has a label 'roon'; did you mean 'room'?"
        self.assertEqual(self.advice(RULES), [f"pxe.ini:{line}: {mistake}"])
        self.assertEqual(self.advice(RULES.replace("roon", "room")), [])

    def test_a_plugin_that_cannot_tell_is_told_of(self) -> None:
        """It may serve all the same: the server starts."""
        broken = MUTE.replace("IHostDirectory,", "IHostDirectory, IListsMachines,")
        broken = broken.replace("(IHostDirectory)", "(IHostDirectory, IListsMachines)")
        for name, lists in {"raising": "{}['x']", "naming": "['ws1']", "empty": "None"}.items():
            code = broken.replace('"mute"', f'"{name}"').replace(
                "    async def",
                f"    def machines(self):\n            return {lists}\n        async def",
            )
            self.write(f"plugins/{name}_lister.py", code)
            content = RULES.replace("plugin = static\nfile = hosts.csv", f"plugin = {name}")
            content = content.replace("hosts = known", "hosts = known\nsite-plugins = plugins")
            [line] = [each for each in self.advice(content) if "Error" in each]
            self.assertIn("[hosts:known] ", line)

    def test_directories_that_cannot_list(self) -> None:
        """Nothing is said of labels and profiles that may well be there."""
        self.write("plugins/mute_for_advice.py", MUTE)
        content = RULES.replace("plugin = static\nfile = hosts.csv", "plugin = mute")
        content = content.replace("hosts = known", "hosts = known\nsite-plugins = plugins")
        self.assertEqual(self.advice(content.replace("-> z", "-> y")), [])

    def test_profiles_that_nobody_gets(self) -> None:
        content = RULES.replace("roon=b12 -> z", "room=b12 -> y")
        self.assertEqual(self.advice(content), ["no policy gives the profile z"])
        room = self.advice(content.replace("@profile", "@room"))
        self.assertEqual(room[1:], ["no policy gives the profile z"])
        self.write("hosts.csv", "name,mac,room,profile\nws1,525400123456,b12,z\n")
        self.assertEqual(self.advice(content), [])
        fixed = content.partition("[policy:main]")[0] + "[policy:main]\nplugin = fixed\n"
        self.assertEqual(self.advice(fixed + "profile = z\n"), ["no policy gives the profile x"])

    def test_labels_that_name_no_profile(self) -> None:
        self.write(
            "hosts.csv",
            "name,mac,room,profile\nws1,525400123456,b12,y\nws2,525400123457,,Y2\n"
            "ws3,525400123458,,Y2\nws4,525400123459,,\n",
        )
        line = RULES.strip().split("\n").index("    profile=* -> @profile") + 1
        self.assertEqual(
            self.advice(RULES.replace("roon", "room")),
            [
                f"pxe.ini:{line}: [policy:main] rule 1: label 'profile' of machine ws2"
                " (hosts.csv:3) and 1 more: there is no profile 'Y2' (known: base, x, y, z); such"
                " machines get no answer from this rule"
            ],
        )

    def test_passwords_that_nobody_checks(self) -> None:
        content = RULES.replace("roon", "room").replace(
            "policies = main", "policies = locks, main"
        )
        content += "[policy:locks]\nplugin = menu\nentries = x, y\nlocked = y\npassword = known\n"
        content += "plain-password = yes\n"
        said = "[policy:locks] password: [hosts:known] checks no passwords; mend: a directory of"
        self.assertIn(said, "\n".join(self.advice(content)))
        self.assertNotIn(said, "\n".join(self.advice(content.replace("locked = y\n", ""))))

    def test_labels_that_were_meant_as_facts(self) -> None:
        self.write(
            "hosts.csv",
            "name,mac,room,profile,adress,client_id,group,location,address-note\n"
            "ws1,525400123456,b12,y,10.0.0.1,x,a,b,c\n",
        )
        said = "hosts.csv:2: {!r} is taken for a label; did you mean {!r}?"
        pairs = ("adress", "address"), ("client_id", "client-id"), ("group", "groups")
        self.assertEqual(
            self.advice(RULES.replace("roon", "room")), [said.format(*pair) for pair in pairs]
        )

    def test_architectures_that_get_nothing(self) -> None:
        """BIOS machines are there, for there is a loader; or a machine says what it is."""
        content = RULES.replace("roon", "room")
        says = "rule 3: profile 'x' has nothing for {}: such machines get no answer"
        self.write("content/loaders/undionly.kpxe", "")
        [line] = self.advice(content)
        self.assertIn(says.format("bios"), line)
        self.write("hosts.csv", "name,mac,room,profile,arch\nws1,525400123456,b12,y,arm64\n")
        [line] = self.advice(content)
        self.assertIn(says.format("arm64, bios"), line)
        mended = content.replace("    any -> x", "    !arch=x64 -> y\n    any -> x")
        self.assertEqual(self.advice(mended), [])
        fixed = content.partition("[policy:main]")[0] + "[policy:main]\nplugin = fixed\n"
        self.assertIn(
            "[policy:main] profile 'x' has nothing for arm64, bios",
            "\n".join(self.advice(fixed + "profile = x\n")),
        )


MUTE = """
    import attrs
    from twisted.plugin import IPlugin
    from zope.interface import implementer
    from pxetwist.interfaces import IHostDirectory, IPluginFactory

    @attrs.frozen
    class Settings:
        pass

    @implementer(IHostDirectory)
    class Mute:
        async def find_machine(self, identity):
            return None

    @implementer(IPlugin, IPluginFactory)
    class Factory:
        kind, name, summary = "hosts", "mute", "A directory that tells nothing."
        def settings(self):
            return Settings
        def build(self, settings, site):
            return Mute()

    factory = Factory()
"""


class DhcpSlips(IniCase):
    """What can be meant, and seldom is."""

    def advice(self, text: str) -> str:
        """Return what is said of an INI, without the hosts file's folder."""
        self.write("hosts.csv", "name,mac,address6\na,525400000001,fd99::9\n")
        assembly = assemble(self.load(text), Clock())
        lines = advice(assembly.configuration, assembly.built)
        return "\n".join(lines).replace(f"{self.folder}/", "")

    def test_networks(self) -> None:
        found = self.advice(
            """
            [pxe]
            services = dhcp
            state = memory
            [subnet:a]
            network = 10.0.0.0/24
            pool = 10.0.0.100, 10.0.0.199
            routers = 10.0.1.1
            """
        )
        self.assertIn("[subnet:a] routers: 10.0.1.1 is not in 10.0.0.0/24", found)
        self.assertIn(
            "[subnet:a] pool: 10.0.0.100 and 10.0.0.199 are two addresses; a range is"
            " 10.0.0.100 - 10.0.0.199",
            found,
        )

    def test_interfaces(self) -> None:
        found = self.advice(
            """
            [pxe]
            services = dhcp, proxydhcp
            state = memory
            [subnet:a]
            network = 10.0.0.0/24
            [service:dhcp]
            interfaces = lo, not-here0
            [service:proxydhcp]
            interfaces = lo
            """
        )
        self.assertIn(
            "[service:dhcp] interfaces: there is no not-here0 on this host now, so the server will"
            " wait for it",
            found,
        )
        self.assertIn("[service:dhcp] and [service:proxydhcp] both want port 67", found)

    def test_addresses6(self) -> None:
        text = """
            [pxe]
            services = dhcp6
            state = memory
            hosts = known
            [hosts:known]
            plugin = static
            file = hosts.csv
            """
        self.assertIn("there is no [subnet6:NAME]: the dhcp6 service", self.advice(text))
        found = self.advice(f"{text}[subnet6:a]\nnetwork = fd77::/64\n")
        self.assertIn(
            "hosts.csv:2: machine a: its address6 fd99::9 is in no [subnet6:…]: it gets another"
            " one",
            found,
        )

    def test_classes(self) -> None:
        found = self.advice(
            """
            [pxe]
            services = dhcp
            state = memory
            hosts = known
            [hosts:known]
            plugin = static
            file = hosts.csv
            [subnet:a]
            network = 10.0.0.0/24
            [class:phones]
            match = vendr=Cisco* or mac=00:1b:54:*
            """
        )
        self.assertIn("[class:phones] match: no machine has a label 'vendr'", found)

    def test_names_that_no_interface_can_have(self) -> None:
        for name in ("a/b", "a-name-of-16-char"):
            [mistake] = self.mistakes(
                f"[pxe]\nservices = dhcp\nstate = memory\n[service:dhcp]\ninterfaces = {name}\n"
            )
            self.assertIn("interfaces: expected the name of a network interface", mistake)


class DhcpAdvice(IniCase):
    """What machines of directories bring along."""

    INI = """
        [pxe]
        services = dhcp
        state = memory
        hosts = known
        [hosts:known]
        plugin = static
        file = hosts.csv
        [subnet:a]
        network = 10.0.0.0/24
        routers = 10.0.0.1
        option.vendor-class = PXEClient
        option.boot-file-size = 9
        [subnet:b]
        network = 127.0.0.0/8
        pool = 127.0.0.1 - 127.0.0.9
        """

    def test_machines(self) -> None:
        self.write(
            "hosts.csv",
            "name,mac,address,option.interface-mtu\n"
            "a,525400000001,10.0.0.9,1400\n"
            "b,525400000002,10.0.0.1,x\n"
            "c,525400000003,10.0.0.255,\n"
            "d,525400000004,192.168.0.1,\n",
        )
        assembly = assemble(self.load(self.INI), Clock())
        lines = advice(assembly.configuration, assembly.built)
        self.assertEqual(
            [line.replace(f"{self.folder}/", "") for line in lines[1:]],
            [
                "a pool of [subnet:b] holds 127.0.0.1, which lo has here",
                "[subnet:a] option.vendor-class = PXEClient sends UEFI to port 4011 of another"
                " server; leave it out",
                "[subnet:a] option.boot-file-size makes UEFI load files of the wrong length; leave"
                " it out",
                "hosts.csv:3: machine b: option.interface-mtu: expected a number from 0 to 65535,"
                " got 'x'",
                "hosts.csv:3: machine b: its address 10.0.0.1 is a router of [subnet:a]",
                "hosts.csv:4: machine c: its address 10.0.0.255 is no machine's in 10.0.0.0/24",
                "hosts.csv:5: machine d: its address 192.168.0.1 is in no [subnet:…]: it gets"
                " another one",
            ],
        )
