"""A real OpenLDAP server on loopback, with the classes of RFC 2307 and what is put into it."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from bootlab.certificates import Authority
from bootlab.processes import LabError, Process, run, wait_until

BASE = "dc=lab,dc=example"
HOST = "localhost"
_ADDRESS = "127.0.0.1"
_NOBODY = "192.0.2.1"
_ADMINISTRATOR, _SECRET = f"cn=admin,{BASE}", "administrates"
#: The account that reads, and its password.
ACCOUNT, PASSWORD = f"cn=pxe,{BASE}", "reads it all"

_CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
sizelimit 600
sizelimit size.soft=600 size.pr=500 size.prtotal=unlimited
TLSCACertificateFile {authority}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
TLSVerifyClient try
authz-regexp "^cn=pxe-client$" "{account}"
database mdb
maxsize 268435456
suffix {base}
rootdn {administrator}
rootpw {secret}
directory {folder}/data
dbnosync
index objectClass,macAddress,cn,uid,member,uniqueMember,serialNumber,ipHostNumber eq,pres
access to attrs=userPassword by anonymous auth by * none
access to dn.base="" by * read
access to * by dn.exact="{account}" read by * none
"""

_FIRST = f"""\
dn: {BASE}
objectClass: dcObject
objectClass: organization
o: The lab
dc: lab

dn: {ACCOUNT}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: pxe
userPassword: {PASSWORD}
"""


class Slapd:
    """One server; `uri` speaks TLS from the start, `plain_uri` not or by StartTLS.

    It always listens on ``localhost``; its certificate is for `host`.
    """

    def __init__(self, folder: Path, authority: Authority, host: str = HOST) -> None:
        (folder / "data").mkdir(parents=True)
        self._folder = folder
        self._log = folder / "slapd.log"
        plain, tls = _free_ports(2)
        self.plain_uri = f"ldap://{HOST}:{plain}"
        self.uri = f"ldaps://{HOST}:{tls}"
        self._listen = f"ldap://{_ADDRESS}:{plain}/ ldaps://{_ADDRESS}:{tls}/"
        self._ports = (plain, tls)
        key, certificate = authority.issue(folder, host, _ADDRESS if host == HOST else _NOBODY)
        self.authority = authority
        self.password_file = folder / "password"
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(f"{PASSWORD}\n")
        self.file = folder / "slapd.conf"
        text = _CONFIGURATION.format(
            folder=folder,
            authority=authority.file,
            certificate=certificate,
            key=key,
            account=ACCOUNT,
            base=BASE,
            administrator=_ADMINISTRATOR,
            secret=_SECRET,
        )
        self.file.write_text(text)
        self.load([_FIRST])
        self.process: Process | None = None

    def load(self, records: Iterable[str]) -> None:
        """Put many records straight into its files, while it does not run."""
        text = "\n".join(records)
        run("slapadd", "-q", "-f", str(self.file), stdin=text)

    def start(self) -> None:
        """Start it and wait until it listens.

        :raises LabError: with its last words, if it does not.
        """
        command = ["slapd", "-d", "0", "-f", str(self.file), "-h", self._listen]
        process = Process(command, self._log)
        self.process = process
        wait_until(lambda: not process.running or all(map(_open, self._ports)), 20, "slapd's port")
        if not process.running:
            raise LabError(f"slapd ended:\n{process.text}")

    def stop(self) -> None:
        """Stop it; what is in it stays."""
        if self.process is not None:
            self.process.stop()

    def add(self, *records: str) -> None:
        """Add records, over the network."""
        self._client("ldapadd", stdin="\n".join(records))

    def change(self, *records: str) -> None:
        """Change records, over the network."""
        self._client("ldapmodify", stdin="\n".join(records))

    def empty(self, dn: str) -> None:
        """Remove a record and all below it."""
        self._client("ldapdelete", "-r", dn)

    def _client(self, tool: str, *words: str, stdin: str | None = None) -> str:
        bind = ("-x", "-D", _ADMINISTRATOR, "-w", _SECRET, "-H", self.plain_uri)
        return run(tool, *bind, *words, stdin=stdin)


def unit(dn: str) -> str:
    """An organizational unit, for example ``ou=Rooms``."""
    return _record(dn, ["objectClass: organizationalUnit"])


def device(dn: str, *lines: str) -> str:
    """A machine, for example ``cn=ws12,ou=Rooms``, with lines like ``macAddress: …``."""
    classes = ["device", "ieee802Device", "bootableDevice"]
    if any(line.startswith("ipHostNumber:") for line in lines):
        classes.append("ipHost")  # it must have an address
    return _record(dn, [*(f"objectClass: {name}" for name in classes), *lines])


def person(dn: str, password: str) -> str:
    """A person, for example ``uid=ada,ou=People``."""
    name = dn.partition(",")[0].partition("=")[2]
    lines = [f"cn: {name}", f"sn: {name}", f"userPassword: {password}"]
    return _record(dn, ["objectClass: inetOrgPerson", *lines])


def referral(dn: str, uri: str) -> str:
    """A pointer to another server, for example ``cn=elsewhere``."""
    return _record(dn, ["objectClass: referral", "objectClass: extensibleObject", f"ref: {uri}"])


def group(dn: str, *members: str) -> str:
    """A group of machines and groups, all by their DN without the base."""
    lines = [f"member: {member},{BASE}" for member in members]
    return _record(dn, ["objectClass: groupOfNames", *lines])


def _record(dn: str, lines: Iterable[str]) -> str:
    return "\n".join([f"dn: {dn},{BASE}", *lines, ""])


def _free_ports(count: int) -> Iterator[int]:
    sockets = [socket.create_server((_ADDRESS, 0)) for _ in range(count)]
    for each in sockets:
        yield each.getsockname()[1]
        each.close()


def _open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((_ADDRESS, port)) == 0
