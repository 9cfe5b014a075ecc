"""``[hosts:NAME]`` with ``plugin = ldap``: what may be written, and every mistake."""

from __future__ import annotations

from importlib.util import find_spec

from pxetwist.config.fields import OptionText
from pxetwist.hosts.ldap.settings import Settings, attribute_map, uri
from tests.unit.config.inis import IniCase

_HEAD = "[pxe]\nservices = tftp\nhosts = lab\n[service:tftp]\n[hosts:lab]\nplugin = ldap\n"
_URI = "uri = ldaps://dc1.lab.example\n"
_BIND = "bind-dn = cn=pxe\nbind-password-file = secret\n"


class SettingsTests(IniCase):
    def setUp(self) -> None:
        super().setUp()
        for name, text in (("secret", "Passw0rd\n"), ("empty", "\n")):
            self.write(name, text).chmod(0o600)

    def settings(self, text: str) -> Settings:
        [instance] = self.load(_HEAD + text).of_kind("hosts")
        assert isinstance(instance.settings, Settings)
        return instance.settings

    def mistake(self, text: str) -> str:
        [mistake] = self.mistakes(_HEAD + text)
        self.assertNotIn("Passw0rd", mistake)
        return mistake

    def test_all_that_is_needed(self) -> None:
        made = self.settings(_URI + _BIND)
        self.assertEqual(list(map(str, made.uri)), ["ldaps://dc1.lab.example"])
        self.assertTrue(made.verify)
        self.assertNotIn("Passw0rd", repr(made))
        self.assertEqual(made.described().marks, ("mac", "uuid", "serial", "asset"))

    def test_servers(self) -> None:
        made = self.settings(f"uri = ldaps://a:1636\n    ldaps://[fd00::1], ldaps://B/\n{_BIND}")
        self.assertEqual(
            list(map(str, made.uri)), ["ldaps://a:1636", "ldaps://[fd00::1]", "ldaps://b"]
        )
        self.assertEqual(made.uri[1].host, "fd00::1")
        for wrong in (
            "dc1",
            "http://dc1",
            "ldaps://",
            "ldap://u@dc1",
            "ldaps://a/dc=x",
            "ldap://a:x",
        ):
            self.assertRaises(ValueError, uri, wrong)

    def test_the_site_s_own_attributes(self) -> None:
        made = self.settings(
            f"{_URI}{_BIND}schema = ad\nattributes =\n    Profile = pxeProfile\n    mac = myMac\n"
            "    uuid = 1.3.6.1.4.1.99.1\nfind-by = mac\nfilter = (cn={hostname})\n"
        ).described()
        self.assertEqual(made.labels["profile"], "pxeProfile")
        self.assertEqual(made.labels["boot-file"], "netbootMachineFilePath")
        self.assertEqual(made.fields["mac"], ("myMac",))
        self.assertEqual(made.marks, ("mac",))
        self.assertEqual(len(made.templates), 1)
        self.assertFalse(made.disabled)
        self.assertIn("1.3.6.1.4.1.99.1", made.attributes)

    def test_persons(self) -> None:
        self.assertEqual(self.settings(_URI + _BIND).person_attributes, ("uid",))
        domain = self.settings(f"{_URI}{_BIND}schema = ad\n")
        self.assertIn("sAMAccountName", domain.person_attributes)
        made = self.settings(f"{_URI}{_BIND}person = mail, uid\n")
        self.assertEqual(made.person_attributes, ("mail", "uid"))

    def test_passwords(self) -> None:
        needs = "needs bind-dn and a bind-password-file that is not empty"
        self.assertIn(needs, self.mistake(_URI))
        self.assertIn(needs, self.mistake(_URI + "bind-dn = cn=pxe\nbind-password-file = empty\n"))
        self.assertIn(needs, self.mistake(_URI + "bind-password-file = secret\n"))
        plain = "uri = ldap://dc1\n"
        self.assertIn("for everyone to read", self.mistake(plain + _BIND))
        self.settings(f"{plain}{_BIND}plain-password = yes\n")
        self.settings(f"{plain}{_BIND}start-tls = yes\n")
        self.settings(f"{plain}bind = anonymous\n")
        anonymous = f"{_URI}{_BIND}bind = anonymous\n"
        self.assertIn("bind-password-file is not for", self.mistake(anonymous))

    def test_tls(self) -> None:
        for text, message in (
            (f"{_URI}{_BIND}start-tls = yes\n", "start-tls is for ldap://"),
            (f"{_URI}{_BIND}ca-file = secret\n", "cannot read certificates from"),
            (f"{_URI}{_BIND}ca-file = none.pem\n", "No such file"),
            (f"{_URI}{_BIND}key = secret\n", "key needs a certificate"),
            (f"{_URI}{_BIND}certificate = secret\n", "certificate: "),
            (f"{_URI}bind = external\n", "bind = external needs a certificate"),
            ("uri = ldap://dc1\nbind = external\n", "never sees the client certificate"),
        ):
            self.assertIn(message, self.mistake(text))

    def test_kerberos(self) -> None:
        text = f"{_URI}bind = kerberos\n"
        if find_spec("gssapi") is None:
            self.assertIn("pip install 'pxetwist[gssapi]'", self.mistake(text))
        else:
            self.assertEqual(self.settings(text).bind, "kerberos")

    def test_keytab(self) -> None:
        self.assertIn("No such file", self.mistake(f"{_URI}bind = kerberos\nkeytab = none\n"))
        self.assertIn("keytab is not for", self.mistake(f"{_URI}{_BIND}keytab = secret\n"))

    def test_other_mistakes(self) -> None:
        for text, message in (
            (f"uri =\n{_BIND}", "uri is empty"),
            (f"{_URI}{_BIND}schema = free\n", "schema = free needs a filter"),
            (f"{_URI}{_BIND}filter = (cn={{host}})\n", "{host} is no placeholder"),
            (f"{_URI}{_BIND}filter = (cn={{mac}}\n", "is no filter (RFC 4515)"),
            (f"{_URI}{_BIND}attributes = profile\n", "expected label = attribute"),
            (f"{_URI}{_BIND}timeout = 0\n", "timeout: expected more than 0"),
        ):
            self.assertIn(message, self.mistake(text))

    def test_attribute_map(self) -> None:
        self.assertEqual(attribute_map(OptionText.of("A = b\nc=d;x-e")), {"a": "b", "c": "d;x-e"})
        for wrong in ("a = b)(c", "= b", "a = 1b", "a = b\nA = c"):
            self.assertRaises(ValueError, attribute_map, OptionText.of(wrong))
