"""Answer files of installers: values, lists, addresses, and mistakes."""

from __future__ import annotations

import base64
import shlex
import subprocess
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase
from yaml import safe_load

from pxetwist.content.rendered import Settings, build
from pxetwist.errors import ConfigError, ConfigErrors, ContentNotFound, Location, PolicyError
from pxetwist.model.answer import Answer, Value
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Endpoints, Protocol
from pxetwist.model.boots import Files
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Network
from pxetwist.model.machine import Machine
from pxetwist.model.profile import BootProfile, ProfileKind
from pxetwist.testing import FakeBoot, make_site, result_of

MAC = "52:54:00:12:34:56"
LAB = Network(
    "lab",
    IPv4Network("10.0.0.0/24"),
    routers=(IPv4Address("10.0.0.1"),),
    name_servers=(IPv4Address("10.0.0.2"), IPv4Address("10.0.0.3")),
)
MACHINE = Machine("ws1", (MAC,), address=IPv4Address("10.0.0.9"), labels={"disk": "/dev/sda"})
HASH = "$6$salt$hash"
KEY = "ssh-ed25519 AAAA me@here"
FULL: Mapping[str, Value] = {
    "disk": Value("{{ machine.labels.disk }}"),
    "mirror": Value("http://mirror.lab/debian"),
    "locale": Value("de_DE.UTF-8"),
    "root_password": Value(HASH, "root.hash"),
    "ssh_keys": Value(f"{KEY}\nssh-rsa BBBB you"),
    "packages": Value("vim, tmux\ngit"),
    "post": Value("echo 'a & b' > /etc/motd\ntouch /done"),
}
#: What a value may hold that means something to somebody.
ODD_TEXT = 'a\'b "c" #d \\e &f <g> $h %i ]]> --'
ODD: Mapping[str, Value] = {
    **dict.fromkeys(("root_password", "user_password"), Value(ODD_TEXT, "odd.hash")),
    **dict.fromkeys(("user", "locale", "keymap", "timezone", "hostname"), Value(ODD_TEXT, "odd")),
    "ssh_keys": Value(f"{KEY} {ODD_TEXT}"),
    "early": Value("cat << END\n%end\n%ksappend x\n'\nEND"),
    "post": Value(f": {ODD_TEXT}\r\n%end\f%include /x\u2028%pre"),
}


def answer(template: str, values: Mapping[str, Value] = FULL) -> Answer:
    return Answer("deb", template, values, location=Location("pxe.ini", 7))


class AnswerCase(SynchronousTestCase):
    templates: Path | None = None

    def text(
        self, made: Answer, file: str = "", machine: Machine | None = MACHINE, granted: str = "deb"
    ) -> str:
        profile = BootProfile("deb", ProfileKind.LINUX, answer=made)
        site = make_site(FakeBoot(), profiles={"deb": profile}, networks={"lab": LAB})
        request = BootRequest(
            ClientIdentity(mac=MAC),
            BootStage.KERNEL,
            Protocol.HTTP,
            endpoints=Endpoints("10.0.0.1"),
            machine=machine,
            plan=BootPlan(Files("linux", answer=made), "deb"),
            granted=granted,
        )
        store = build(Settings(templates=self.templates), site)
        path = ContentPath.parse(file or made.template)
        content = result_of(store.open(path, request))
        return result_of(content.read(0, content.info.size)).decode()

    def refused(self, made: Answer) -> str:
        with self.assertRaises((ConfigError, ConfigErrors)) as caught:
            self.text(made)
        return str(caught.exception)


class TemplateTests(AnswerCase):
    def test_preseed(self) -> None:
        text = self.text(answer("preseed.cfg"))
        for line in (
            "d-i debian-installer/locale string de_DE.UTF-8",
            "d-i keyboard-configuration/xkb-keymap select us",
            "d-i netcfg/get_hostname string ws1",
            "d-i mirror/http/hostname string mirror.lab",
            "d-i mirror/http/directory string /debian",
            f"d-i passwd/root-password-crypted password {HASH}",
            "d-i partman-auto/disk string /dev/sda",
            "d-i pkgsel/include string openssh-server vim tmux git",
        ):
            self.assertIn(f"\n{line}\n", text)
        self.assertIn(
            "wget -q -O /dev/null --post-data=installed http://10.0.0.1/callback/TOKEN/done", text
        )
        late = text.partition("late_command string if echo ")[2].partition(" ")[0]
        script = base64.b64decode(late).decode()
        self.assertIn("\necho 'a & b' > /etc/motd\ntouch /done\n", script)
        keys = script.partition("\necho ")[2].partition(" ")[0]
        self.assertEqual(base64.b64decode(keys).decode(), f"{KEY}\nssh-rsa BBBB you")

    def test_kickstart(self) -> None:
        text = self.text(answer("kickstart.cfg"))
        for line in (
            "network --device=link --activate --bootproto=dhcp --hostname=ws1",
            "url --url=http://mirror.lab/debian",
            f"rootpw --iscrypted '{HASH}'",
            f"printf '%s\\n' '{KEY}' 'ssh-rsa BBBB you' > /root/.ssh/authorized_keys",
            "ignoredisk --only-use=sda",
            "@core\nvim\ntmux\ngit",
            "curl -s -o /dev/null --data installed http://10.0.0.1/callback/TOKEN/done",
        ):
            self.assertIn(f"\n{line}\n", text)

    def test_autoinstall(self) -> None:
        made = answer("user-data")
        text = self.text(made)
        self.assertTrue(text.startswith("#cloud-config\n"))
        self.assertIn('\n  packages: ["vim", "tmux", "git"]\n', text)
        self.assertIn(f'\n        hashed_passwd: "{HASH}"\n', text)
        self.assertIn('local-hostname: "ws1"\n', self.text(made, "meta-data"))
        self.assertEqual(self.text(made, "vendor-data"), "#cloud-config\n{}\n")

    def test_autoyast(self) -> None:
        text = self.text(answer("autoyast.xml"))
        self.assertIn(f"<user_password>{HASH}</user_password>", text)
        self.assertIn("echo &#39;a &amp; b&#39; &gt; /etc/motd", text)

    def test_a_fixed_address(self) -> None:
        """The machine's reservation, and what its subnet says, unless the profile says else."""
        fixed = {"network": Value("static")}
        text = self.text(answer("kickstart.cfg", fixed))
        self.assertIn(
            "--ip=10.0.0.9 --netmask=255.255.255.0 --gateway=10.0.0.1"
            " --nameserver=10.0.0.2,10.0.0.3 --hostname=ws1\n",
            text,
        )
        own = {**fixed, "address": Value("10.0.0.77"), "gateway": Value("10.0.0.254")}
        text = self.text(answer("user-data", own))
        self.assertIn('addresses: ["10.0.0.77/24"]', text)
        self.assertIn('via: "10.0.0.254"', text)
        lost = self.assertRaises(
            PolicyError, self.text, answer("preseed.cfg", fixed), machine=None
        )
        self.assertIn("network is static, and neither", str(lost))
        far = {**fixed, "address": Value("192.0.2.7")}
        self.assertIn(
            "answer.netmask is missing",
            str(self.assertRaises(PolicyError, self.text, answer("preseed.cfg", far))),
        )

    def test_a_stranger_has_a_name(self) -> None:
        text = self.text(answer("preseed.cfg", {}), machine=None)
        self.assertIn("\nd-i netcfg/get_hostname string host-525400123456\n", text)

    def test_a_name_begins_no_line(self) -> None:
        evil = attrs.evolve(MACHINE, name="ws1\nd-i preseed/early_command string reboot")
        text = self.text(answer("preseed.cfg", {}), machine=evil)
        self.assertEqual(text.count("\nd-i preseed/early_command"), 1)

    def test_any_value_is_one_word_of_kickstart(self) -> None:
        text = self.text(answer("kickstart.cfg", ODD))
        words = [
            shlex.split(line, comments=True)
            for line in text.partition("%packages")[0].splitlines()
        ]
        self.assertIn(["rootpw", "--iscrypted", ODD_TEXT], words)
        password = f"--password={ODD_TEXT}"
        self.assertIn(
            ["user", f"--name={ODD_TEXT}", "--groups=wheel", "--iscrypted", password], words
        )
        self.assertIn(["lang", ODD_TEXT], words)
        self.assertIn(["timezone", ODD_TEXT, "--utc"], words)

    def test_no_command_ends_its_section(self) -> None:
        """They are as they were written, for the shell."""
        text = self.text(answer("kickstart.cfg", ODD))
        self.assertEqual(text.count("\n%end"), 5)
        script = text.partition("%pre\n")[2].partition("%end\n")[0]
        said = subprocess.run(
            ["sh"], input=script.replace("curl", ": "), capture_output=True, text=True, check=False
        )
        self.assertEqual(said.stdout, "%end\n%ksappend x\n'\n")

    def test_commands_of_preseed(self) -> None:
        """Each is one of its own, whatever it ends with."""
        early = {"early": Value("echo a # b\necho c &\nwait\necho 'd' \\")}
        text = self.text(answer("preseed.cfg", early))
        line = next(each for each in text.splitlines() if "/early_command" in each)
        script = line.partition("callback/TOKEN/progress; ")[2]
        said = subprocess.run(
            ["sh", "-c", script], capture_output=True, text=True, timeout=9, check=False
        )
        self.assertEqual(said.stdout, "a\nc\nd \\\n")
        self.assertTrue(line.endswith("'"))  # a backslash there would join the next line

    def test_any_character_in_yaml(self) -> None:
        odd = {
            name: Value('\U0001f600\\ud83d\x7f "é', "odd") for name in ("post", "root_password")
        }
        made = safe_load(self.text(answer("user-data", odd)))["autoinstall"]
        self.assertEqual(made["late-commands"][0][-1], odd["post"].text)
        self.assertEqual(made["user-data"]["users"][0]["hashed_passwd"], odd["post"].text)

    def test_what_no_installer_can_be_told(self) -> None:
        for name, text, said in (
            ("root_password", "a\x01", "answer.root-password: it has a control character"),
            ("post", "true\n\x1b[2J", "answer.post: it has a control character"),
            ("proxy", "http://p/\\", "answer.proxy: it ends with a backslash"),
            ("locale", "--help", "answer.locale: it begins with a dash"),
            ("hostname", "a\ud800", "answer.hostname: it has a control character"),
            ("packages", "vim -", "answer.packages: a dash alone is none"),
        ):
            for file in ("", "a.file"):
                refused = self.refused(answer("preseed.cfg", {name: Value(text, file)}))
                self.assertEqual(refused, f"pxe.ini:7: [profile:deb] {said}")

    def test_an_empty_label_says_nothing(self) -> None:
        """What the installer needs is what it would be without the option."""
        names = ("locale", "keymap", "timezone", "hostname", "root_password")
        empty = dict.fromkeys(names, Value("{{ machine.labels.get('none', '') }}"))
        for file in ("preseed.cfg", "kickstart.cfg"):
            self.assertEqual(self.text(answer(file, empty)), self.text(answer(file, {})))

    def test_packages_are_no_commands(self) -> None:
        self.assertEqual(
            self.refused(answer("kickstart.cfg", {"packages": Value("vim %end")})),
            "pxe.ini:7: [profile:deb] answer.packages: one begins with % or #",
        )
        labelled = {"packages": Value("{{ machine.labels.disk and '#x' }}")}
        error = self.assertRaises(PolicyError, self.text, answer("kickstart.cfg", labelled))
        self.assertIn("packages: one begins with % or #", str(error))

    def test_a_secret_is_no_template(self) -> None:
        values = {"root_password": Value("{{ 1 + 1 }}", "root.hash")}
        text = self.text(answer("preseed.cfg", values))
        self.assertIn("root-password-crypted password {{ 1 + 1 }}\n", text)


class MistakeTests(AnswerCase):
    def test_nobody_reads_without_a_grant(self) -> None:
        for granted in ("", "other"):
            self.assertRaises(ContentNotFound, self.text, answer("preseed.cfg"), granted=granted)
        self.assertRaises(ContentNotFound, self.text, answer("preseed.cfg"), "user-data")

    def test_values_that_nobody_looks_at(self) -> None:
        self.assertEqual(
            self.refused(answer("preseed.cfg", {"pakages": Value("vim")})),
            "pxe.ini:7: [profile:deb] answer.pakages: preseed.cfg does not look at it; did you"
            " mean answer.packages?",
        )

    def test_no_such_template(self) -> None:
        self.assertEqual(
            self.refused(answer("own.cfg", {})),
            "pxe.ini:7: [profile:deb] answer: there is no template own.cfg.j2",
        )

    def test_a_template_of_the_site(self) -> None:
        """It replaces the built-in one, and has variables of its own."""
        self.templates = Path(self.mktemp())
        self.templates.mkdir()
        file = self.templates / "preseed.cfg.j2"
        file.write_text("{{ hostname }} {{ colour }} {{ callback }}\n")
        made = answer("preseed.cfg", {"colour": Value("{{ who }}-red")})
        self.assertEqual(self.text(made), "ws1 ws1-red http://10.0.0.1/callback/TOKEN\n")
        file.write_text("{{ hostname }\n")
        self.assertIn("preseed.cfg.j2", self.refused(made))
        file.write_text("{{ colour }} {{ nowhere.to_be }}\n")
        broken = self.assertRaises(PolicyError, self.text, made)
        self.assertIn("'nowhere' is undefined", str(broken))
