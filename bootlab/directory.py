"""A real Active Directory: a domain controller of Samba's, and what is in its directory."""

from __future__ import annotations

import base64
import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from bootlab.certificates import Authority
from bootlab.network import Lan
from bootlab.processes import LabError, Process, run, wait_until

BASE = "DC=lab,DC=example"
ADDRESS = "10.77.0.3"
HOST = "dc1.lab.example"
URI = f"ldaps://{ADDRESS}"
#: The account that only reads; the other one changes things, as a site's people do.
ACCOUNT, PASSWORD = "pxetwist@lab.example", "Passw0rd.reads"
PRINCIPAL = "pxetwist@LAB.EXAMPLE"
_ADMINISTRATOR, _ADMINISTRATOR_PASSWORD = "administrator@lab.example", "Passw0rd.writes"

_PROVISION = (
    *("samba-tool", "domain", "provision", "--server-role=dc", "--realm=LAB.EXAMPLE"),
    *("--domain=LAB", "--host-name=dc1", f"--host-ip={ADDRESS}", "--use-rfc2307"),
    *("--dns-backend=SAMBA_INTERNAL", f"--adminpass={_ADMINISTRATOR_PASSWORD}"),
)
_ADDITIONS = (
    ("samba-tool", "user", "create", ACCOUNT.partition("@")[0], PASSWORD),
    # samba does so by itself, with the service dnsupdate
    ("samba-tool", "spn", "add", f"ldap/{HOST}", "dc1$"),
)

#: Takes Kerberos over TLS as well, as domain controllers of Windows do; Samba's default is not to.
SASL_OVER_TLS = "ldap server require strong auth=allow_sasl_over_tls"
#: How clients find its KDC, without a name server. Tickets are short, to see them end; of less
#: than two minutes Samba makes no use (CVE-2022-2031).
KRB5_CONF = f"""\
[libdefaults]
default_realm = LAB.EXAMPLE
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
ticket_lifetime = 150s
[realms]
LAB.EXAMPLE = {{
    kdc = {ADDRESS}
}}
[domain_realm]
.lab.example = LAB.EXAMPLE
"""

# All paths are below its own folder, so that several can run, beside the system's own.
_CONFIGURATION = """\
[global]
server role = active directory domain controller
server services = ldap, kdc
workgroup = LAB
realm = LAB.EXAMPLE
netbios name = DC1
private dir = {folder}/private
state directory = {folder}/state
cache directory = {folder}/cache
lock directory = {folder}
pid directory = {folder}
ncalrpc dir = {folder}/ncalrpc
winbindd socket directory = {folder}/winbindd
ntp signd socket directory = {folder}/ntp
binddns dir = {folder}/bind-dns
interfaces = {address}/24
bind interfaces only = yes
tls keyfile = {key}
tls certfile = {certificate}
tls cafile = {authority}
"""


class DomainController:
    """The domain controller of the domain ``lab.example``, a host of its own in the lab's network.

    `authority` has vouched for it; `password_file` has the password of the account that reads.
    """

    def __init__(self, lan: Lan, folder: Path, cache: Path) -> None:
        self.authority = Authority(folder / "ca.pem")
        self.password_file = folder / "bind-password"
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(f"{PASSWORD}\n")
        self._lan = lan
        self._host = lan.host("dc1", f"{ADDRESS}/24")
        self._log = folder / "samba.log"
        # not in `folder`: samba's sockets are below, and their paths may not be long
        self._temporary = tempfile.TemporaryDirectory(prefix="samba-")
        database = Path(self._temporary.name, "dc")
        run("cp", "-a", str(_provisioned(cache)), str(database))
        key, certificate = self.authority.issue(folder, HOST, ADDRESS)
        self._file = database / "etc" / "smb.conf"
        text = _CONFIGURATION.format(
            folder=database,
            address=ADDRESS,
            key=key,
            certificate=certificate,
            authority=self.authority.file,
        )
        self._file.write_text(text)
        self._process: Process | None = None

    def start(self, *options: str) -> None:
        """Start it, with lines of ``smb.conf``, and wait until it speaks LDAP over TLS.

        :raises LabError: with its last words, if it does not.
        """
        command = ["samba", "-i", "-M", "single", "-s", str(self._file), "--debug-stdout"]
        more = [f"--option={line}" for line in options]
        process = self._host.start([*command, *more], self._log)
        self._process = process
        listening = ("ss", "-Hltn", "sport", "=", ":636")
        wait_until(
            lambda: not process.running or bool(self._host.run(*listening)), 30, "samba's port"
        )
        if not process.running:
            raise LabError(f"samba ended:\n{process.text}")

    def stop(self) -> None:
        """Stop it; what is in it stays."""
        if self._process is not None:
            self._process.stop()

    def close(self) -> None:
        """Stop it and remove its database."""
        self.stop()
        self._temporary.cleanup()

    def keytab(self, file: Path) -> None:
        """Write the keys of the account that reads into a new file."""
        export = ("samba-tool", "domain", "exportkeytab", str(file))
        run(*export, f"--principal={PRINCIPAL}", "-s", str(self._file))

    def change(self, *records: str) -> None:
        """Apply changes, made by the functions below or written in LDIF, over the network."""
        trust = ("env", f"LDAPTLS_CACERT={self.authority.file}")
        bind = ("-x", "-D", _ADMINISTRATOR, "-w", _ADMINISTRATOR_PASSWORD)
        command = (*self._lan.server.inside, *trust, "ldapmodify", "-H", URI, *bind)
        run(*command, stdin="\n".join(records))


def unit(path: str) -> str:
    """Add an organizational unit, for example ``OU=Rooms``."""
    return _addition(path, ["objectClass: organizationalUnit"])


def computer(path: str, mac: str = "", uuid: UUID | None = None) -> str:
    """Add a computer, for example ``CN=ws12,OU=Rooms``; its GUID is as firmware tells it."""
    name = _common_name(path)
    lines = [
        "objectClass: computer",
        f"sAMAccountName: {name}$",
        "userAccountControl: 4096",  # a member of the domain
        f"dNSHostName: {name}.lab.example",
    ]
    if mac:
        lines += ["objectClass: ieee802Device", f"macAddress: {mac}"]
    if uuid:
        lines.append(f"netbootGUID:: {base64.b64encode(uuid.bytes_le).decode()}")
    return _addition(path, lines)


def group(path: str, *members: str) -> str:
    """Add a group of computers and groups, all by their paths."""
    lines = ["objectClass: group", f"sAMAccountName: {_common_name(path)}"]
    return _addition(path, [*lines, *(f"member: {member},{BASE}" for member in members)])


def leave(path: str, member: str) -> str:
    """Take a computer or group out of a group."""
    change = ["delete: member", f"member: {member},{BASE}", "-"]
    return "\n".join([f"dn: {path},{BASE}", "changetype: modify", *change, ""])


def _addition(path: str, lines: Iterable[str]) -> str:
    return "\n".join([f"dn: {path},{BASE}", "changetype: add", *lines, ""])


def _common_name(path: str) -> str:
    return path.partition(",")[0].partition("=")[2]


def _provisioned(cache: Path) -> Path:
    """Return the folder of a new domain, made the first time (10 s, 42 MB); copy it to use it."""
    version = run("samba", "--version")
    recipe = hashlib.sha256(repr((_PROVISION, _ADDITIONS, version)).encode()).hexdigest()[:12]
    folder = cache / f"domain-{recipe}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as name:
            made = Path(name, "made")
            run(*_PROVISION, f"--targetdir={made}")
            for command in _ADDITIONS:
                run(*command, "-s", str(made / "etc" / "smb.conf"))
            try:
                made.rename(folder)
            except OSError:
                if not folder.exists():  # no other run was quicker
                    raise
    return folder
