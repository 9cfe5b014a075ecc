"""What profiles say of answers to installers."""

from __future__ import annotations

from twisted.internet.task import Clock

from pxetwist.config.advice import secrets_in_the_clear
from pxetwist.config.assemble import assemble
from pxetwist.errors import ConfigErrors
from pxetwist.model.answer import Answer, Value
from pxetwist.model.boots import Files
from pxetwist.model.families import Setting
from tests.unit import certificates
from tests.unit.config.inis import IniCase

START = """
    [pxe]
    services = http{more}
    state = memory
    policies = main
    content = texts
    [policy:main]
    plugin = fixed
    profile = deb
    [content:texts]
    plugin = rendered
    {sections}
    [profile:deb]
    kind = linux
    kernel = linux
"""
HTTPS = "[service:https]\n    certificate = boot.pem\n    key = boot.key"


class Case(IniCase):
    def setUp(self) -> None:
        super().setUp()
        self.write("root.hash", "$6$salt$hash\n").chmod(0o600)

    def ini(self, profile: str, https: bool = False) -> str:
        words = {"more": ", https" if https else "", "sections": HTTPS if https else ""}
        lines = "\n".join(f"    {line}" for line in profile.split("; "))
        return START.format(**words) + lines + "\n"

    def plan(self, profile: str) -> Files:
        profiles = self.load(self.ini(profile)).profiles
        boot = profiles["deb"].plan(None).boot
        assert isinstance(boot, Files)
        return boot


class AnswerTests(Case):
    def test_what_is_told(self) -> None:
        boot = self.plan(
            "family = debian-installer; locale = de_DE; timezone = Europe/Berlin;"
            " answer = preseed.cfg; answer.disk = /dev/sda; answer.root-password = file:root.hash;"
            " secret-once = yes; secret-life = 5m; secret-plain = yes; arguments = quiet ---"
        )
        expected = Answer(
            "deb",
            "preseed.cfg",
            {
                "locale": Value("de_DE"),
                "timezone": Value("Europe/Berlin"),
                "disk": Value("/dev/sda"),
                "root_password": Value("$6$salt$hash", "root.hash"),
            },
            secret=True,
            plain=True,
            once=True,
            life=300,
        )
        self.assertEqual(boot.answer, expected)
        self.assertNotIn("salt", repr(boot))
        self.assertEqual(
            boot.arguments,
            "quiet auto=true priority=critical interface=auto url={{ answer }} locale=de_DE"
            " time/zone=Europe/Berlin ---",
        )

    def test_each_installer_is_told_in_its_way(self) -> None:
        for family, template, words in (
            ("anaconda", "kickstart.cfg", "inst.ks={{ answer }}"),
            ("subiquity", "user-data", "autoinstall ds=nocloud-net;s={{ answer_folder }}/"),
            ("autoyast", "autoyast.xml", "autoyast={{ answer }}"),
        ):
            boot = self.plan(f"family = {family}; answer = {template}")
            self.assertEqual(boot.arguments, words)
        own = self.plan("arguments = ks={{ answer }}; answer = kickstart.cfg")
        self.assertEqual(own.arguments, "ks={{ answer }}")
        assert own.answer is not None
        self.assertFalse(own.answer.secret)

    def test_wishes_that_only_the_answer_tells(self) -> None:
        """Also those that a rule has."""
        text = self.ini("family = subiquity; answer = user-data; keymap = de")
        profile = self.load(text).profiles["deb"]
        changed = profile.changed([Setting("timezone", "Asia/Tokyo", "a rule")])
        boot = changed.plan(None).boot
        assert isinstance(boot, Files)
        assert boot.answer is not None
        self.assertEqual(
            boot.answer.values, {"keymap": Value("de"), "timezone": Value("Asia/Tokyo")}
        )

    def test_a_base_shares_values(self) -> None:
        text = self.ini("family = anaconda; answer = kickstart.cfg; answer.disk = sda")
        text += "    [profile:own]\n    extends = deb\n    answer.disk = sdb\n"
        answer = self.load(text).profiles["own"].answer
        assert answer is not None
        self.assertEqual((answer.profile, answer.values), ("own", {"disk": Value("sdb")}))

    def test_what_people_are_shown(self) -> None:
        text = self.ini(
            "family = anaconda; answer = kickstart.cfg; answer.root-password = file:root.hash;"
            " answer.disk = sda; secret-plain = yes"
        )
        settings = self.load(text).profiles["deb"].plan(None).settings
        shown = {each.name: each.value for each in settings}
        self.assertEqual(shown["answer.root-password"], "(in root.hash)")
        self.assertEqual(shown["answer.disk"], "(secret)")
        self.assertIn("pxe.ini:", next(s.origin for s in settings if s.name == "answer.disk"))


class MistakeTests(Case):
    def test_mistakes(self) -> None:
        for profile, message in (
            ("answer.disk = sda", "15: [profile:deb] answer.disk: there is no answer = TEMPLATE"),
            ("secret = yes", "15: [profile:deb] secret: there is no answer = TEMPLATE"),
            (
                "answer = preseed.cfg",
                "15: [profile:deb] answer: kernels of the family generic cannot be told where"
                " answers are: give the profile the right family (debian-installer, anaconda,"
                " subiquity, autoyast), or write {{ answer }} into arguments",
            ),
            (
                "family = anaconda; answer = kickstart.cfg; answer.x = file:root.hash;"
                " secret = no",
                "18: [profile:deb] secret: answer.x is a secret; leave this out, or give it"
                " as text",
            ),
            (
                "family = anaconda; answer = ../x",
                "16: [profile:deb] answer: no name of a file; it is spelled like"
                r" [A-Za-z0-9][\w.-]*",
            ),
        ):
            self.assertEqual(self.mistakes(self.ini(profile)), [f"pxe.ini:{message}"])
        self.write("open.hash", "x")
        ini = self.ini("family = anaconda; answer = kickstart.cfg; answer.x = file:open.hash")
        self.assertIn("can be read by everyone", self.mistakes(ini)[0])
        ini = self.ini("family = anaconda; answer = kickstart.cfg; answer.x = file:none")
        self.assertIn("cannot read", self.mistakes(ini)[0])

    def test_a_secret_needs_tls_or_the_word_that_it_does_not(self) -> None:
        secret = "family = anaconda; answer = kickstart.cfg; secret = yes"
        configuration = self.load(self.ini(secret))
        errors = self.assertRaises(ConfigErrors, assemble, configuration, Clock()).errors
        self.assertEqual(
            [str(each).replace(f"{self.folder}/", "") for each in errors],
            [
                "pxe.ini:16: [profile:deb] answer is secret, and needs [service:https]; or let it"
                " cross the network in the clear: secret-plain = yes"
            ],
        )
        self.assertEqual(list(secrets_in_the_clear(configuration)), [])
        plain = self.load(self.ini(f"{secret}; secret-plain = yes"))
        assemble(plain, Clock())
        said = [line.replace(f"{self.folder}/", "") for line in secrets_in_the_clear(plain)]
        self.assertEqual(
            said,
            [
                "secret answers of the profile 'deb' cross the network in the clear"
                " (secret-plain, pxe.ini:16)"
            ],
        )
        certificates.write_server(self.folder, "10.0.0.1", name="boot")
        assemble(self.load(self.ini(secret, https=True)), Clock())
