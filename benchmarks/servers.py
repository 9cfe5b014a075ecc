"""The servers that are measured, and how each is told to do the same as the others.

None of them writes a log while it is measured, and none waits for pings before an offer.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import attrs

from benchmarks.namespaces import DEVICE
from bootlab.postgres import Postgres

#: Made by Debian's package kea-admin.
_KEA_TABLES = Path("/usr/share/kea/scripts/pgsql/dhcpdb_create.pgsql")
_TWISTD = str(Path(sys.executable).with_name("twistd"))

#: So many machines are in the directory, with MACs that count up from the first one.
MACHINES, FIRST_MAC = 10_000, 0x000C01000000
#: The pool: as many addresses as the clients of any run can want.
_FIRST, _LAST = "10.99.16.0", "10.99.250.250"
#: Of it, where the machines of a storm are: so that they can be behind one neighbour.
STORM_NETWORK = "10.99.64.0/18"
_STORM_FIRST, _STORM_LAST = "10.99.64.0", "10.99.127.250"


@attrs.frozen
class Place:
    """Where a server runs: a folder that it may write to, its address, the files it serves, and
    the database that it may use, of which only the Unix socket can be reached.
    """

    folder: Path
    address: str
    content: Path = Path()
    database: Postgres | None = None


@attrs.frozen
class Server:
    """One way to run one program; `command` writes what it needs into the place's folder.

    `forks` says that its children's processor time is lost to it, and cannot be told.
    `database` makes a database before it is started, `processes` is how many of it share that.
    One that is not `usual` is measured if it is named only.
    """

    name: str
    program: str
    command: Callable[[Place], Sequence[str]]
    forks: bool = False
    database: Callable[[], Postgres] | None = None
    processes: int = 1
    usual: bool = True

    @property
    def ours(self) -> bool:
        """Whether it is pxetwist."""
        return self.program == _TWISTD

    @property
    def installed(self) -> bool:
        """Whether the program is there."""
        return shutil.which(self.program) is not None


_PXETWIST_DHCP = """
[pxe]
services = dhcp
hosts = rack
policies = main
state = leases
observers =
[service:dhcp]
interfaces = {device}
[subnet:bench]
network = 10.99.0.0/16
pool = {first} - {last}
[state:leases]
{state}
[hosts:rack]
plugin = static
file = hosts.csv
[policy:main]
plugin = rules
rules =
    group=exam arch=arm64 -> disk
    room=a* -> disk
    room=b12 -> disk
    unknown -> disk
[profile:disk]
kind = local
"""

_PXETWIST_STORM = """
[pxe]
services = dhcp, tftp, http
policies = fixed
content = files
state = leases
observers =
[service:dhcp]
interfaces = {device}
[subnet:bench]
network = 10.99.0.0/16
pool = {first} - {last}
[state:leases]
plugin = sqlite
[content:files]
plugin = directory
root = {content}
[policy:fixed]
profile = nbp
[profile:nbp]
kind = nbp
nbp.x64 = nbp
"""

_PXETWIST_TFTP = """
[pxe]
services = tftp
policies = fixed
content = files
state = memory
observers =
[service:tftp]
addresses = {address}
max-per-client = 4096
[content:files]
plugin = directory
root = {content}
[policy:fixed]
profile = disk
[profile:disk]
kind = local
"""


_PXETWIST_NFS = """
[pxe]
services = nfs
policies = fixed
state = memory
observers =
[service:nfs]
addresses = {address}
portmapper = no
connections-per-address = 1024
[export:bench]
plugin = directory
path = {content}
[policy:fixed]
profile = linux
[profile:linux]
kind = linux
kernel = large
root = export:bench
"""


_PXETWIST_HTTP = """
[pxe]
services = http, https
policies = fixed
content = scripts, files
state = memory
observers =
[service:http]
addresses = {address}
[service:https]
addresses = {address}
certificate = {pair}.pem
key = {pair}.key
profile = modern
[content:scripts]
plugin = rendered
[content:files]
plugin = directory
root = {content}
[policy:fixed]
profile = linux
[profile:linux]
kind = linux
kernel = small
initrds = large
"""


def _pxetwist(place: Place, ini: str) -> Sequence[str]:
    file = place.folder / "pxe.ini"
    file.write_text(ini.lstrip())
    return _TWISTD, "--nodaemon", "--pidfile=", "pxe", "--config", str(file)


def _pxetwist_dhcp(place: Place, *state: str) -> Sequence[str]:
    lines = "\n".join(state)
    (place.folder / "hosts.csv").write_text("".join(_machines()))
    ini = _PXETWIST_DHCP.format(device=DEVICE, first=_FIRST, last=_LAST, state=lines)
    return _pxetwist(place, ini)


def _machines() -> Iterator[str]:
    """Yield a directory of all clients."""
    yield "name,mac,room\n"
    for number in range(MACHINES):
        yield f"pc{number},{mac_of(number)},b12\n"


def mac_of(number: int) -> str:
    """Return the MAC of a client, counted from 0."""
    return (FIRST_MAC + number).to_bytes(6, "big").hex(":")


def _pxetwist_sqlite(place: Place, durability: str) -> Sequence[str]:
    return _pxetwist_dhcp(place, "plugin = sqlite", f"durability = {durability}")


def _pxetwist_postgres(place: Place) -> Sequence[str]:
    assert place.database is not None
    secret = place.folder / "password"
    secret.touch(0o600)
    secret.write_text(place.database.password)
    where = f"host={place.database.folder}&port={place.database.port}"
    url = f"postgresql://pxetwist@/inventory?{where}"
    lines = (f"database = {url}", f"password-file = {secret}")
    return _pxetwist_dhcp(place, "plugin = postgresql", *lines)


def _pxetwist_storm(place: Place) -> Sequence[str]:
    ini = _PXETWIST_STORM.format(
        device=DEVICE, first=_STORM_FIRST, last=_STORM_LAST, content=place.content
    )
    return _pxetwist(place, ini)


def _pxetwist_http(place: Place) -> Sequence[str]:
    names = {"content": place.content, "pair": certificates(place) / place.address}
    return _pxetwist(place, _PXETWIST_HTTP.format(address=place.address, **names))


def certificates(place: Place) -> Path:
    """Return the folder that has the key and the certificate of each address."""
    return place.content.parent / "certificates"


def _pxetwist_tftp(place: Place) -> Sequence[str]:
    return _pxetwist(place, _PXETWIST_TFTP.format(address=place.address, content=place.content))


def _pxetwist_nfs(place: Place) -> Sequence[str]:
    return _pxetwist(place, _PXETWIST_NFS.format(address=place.address, content=place.content))


_GANESHA = """
NFS_CORE_PARAM {{
    Protocols = 3; NFS_Port = 2049; MNT_Port = 20048; Bind_addr = {address};
    Enable_NLM = false; Enable_RQUOTA = false;
}}
EXPORT {{
    Export_Id = 1; Path = {content}; Pseudo = /bench; Access_Type = RO; Squash = None;
    Protocols = 3; Transports = TCP; SecType = sys; MaxRead = 1048576; PrefRead = 1048576;
    FSAL {{ Name = VFS; }}
}}
LOG {{ Default_Log_Level = WARN; }}
"""


def _ganesha(place: Place) -> Sequence[str]:
    """Return a program that runs it with the portmapper that it insists on; /run is theirs."""
    file = place.folder / "ganesha.conf"
    file.write_text(_GANESHA.format(address=place.address, content=place.content))
    ganesha = ("ganesha.nfsd", "-F", "-f", str(file), "-L", str(place.folder / "log"))
    own = ("-N", "NIV_WARN", "-p", str(place.folder / "pid"))
    portmapper = ("rpcbind", "-f", "-w", "-h", place.address)
    script = (
        "mount -t tmpfs tmpfs /run; mkdir -p /run/ganesha /run/rpcbind;"
        " trap 'kill $one $other; wait; exit 0' TERM;"
        f" {shlex.join(portmapper)} & one=$!; sleep 1; {shlex.join((*ganesha, *own))} & other=$!;"
        " wait"
    )
    return "unshare", "-m", "sh", "-c", script


_DNSMASQ = (
    *("dnsmasq", "--keep-in-foreground", "--port=0", "--conf-file=/dev/null", "--user=root"),
    *("--pid-file=", "--log-facility=/dev/null", "--quiet-dhcp"),
)


def _dnsmasq_dhcp(place: Place) -> Sequence[str]:
    return (
        *_DNSMASQ,
        f"--dhcp-range={_FIRST},{_LAST},255.255.0.0,1h",
        "--dhcp-lease-max=60000",
        f"--dhcp-leasefile={place.folder}/leases",
        "--dhcp-authoritative",
        "--no-ping",
    )


def _dnsmasq_tftp(place: Place) -> Sequence[str]:
    return (
        *_DNSMASQ,
        "--enable-tftp",
        f"--tftp-root={place.content}",
        "--tftp-max=2000",
        f"--listen-address={place.address}",
        "--bind-interfaces",
    )


_NGINX = """
daemon off;
user root;
worker_processes 2;
worker_rlimit_nofile 65536;
pid {folder}/nginx.pid;
error_log /dev/null;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    server {{
        listen {address}:80 backlog=4096 reuseport;
        root {content};
        {also}
    }}
}}
"""


def _dnsmasq_and_nginx(place: Place) -> Sequence[str]:
    """Return one program that runs both, and ends both."""
    dnsmasq = (
        *_DNSMASQ,
        f"--dhcp-range={_STORM_FIRST},{_STORM_LAST},255.255.0.0,1h",
        "--dhcp-lease-max=60000",
        f"--dhcp-leasefile={place.folder}/leases",
        "--dhcp-authoritative",
        "--no-ping",
        "--dhcp-boot=nbp",
        "--enable-tftp",
        f"--tftp-root={place.content}",
        "--tftp-max=10000",
    )
    nginx = _nginx_command(place)
    script = (
        f"trap 'kill $one $other; wait; exit 0' TERM; {shlex.join(dnsmasq)} & one=$!;"
        f" {shlex.join(nginx)} & other=$!; wait"
    )
    return "sh", "-c", script


def _kea_memfile(place: Place) -> Sequence[str]:
    leases = {
        "type": "memfile",
        "persist": True,
        "name": str(place.folder / "leases.csv"),
        "lfc-interval": 0,
    }
    # As pxetwist, it stores no lease again in the first eighth of its time.
    return _kea(place, leases, **{"cache-threshold": 0.125})


def _kea_postgres(place: Place) -> Sequence[str]:
    assert place.database is not None
    leases = {
        "type": "postgresql",
        "name": "inventory",
        "host": str(place.database.folder),
        "port": place.database.port,
        "user": "kea",
        "password": "kea",
    }
    return _kea(place, leases)


def _kea_database() -> Postgres:
    """Make a database with Kea's tables, as its ``kea-admin db-init`` does."""
    database = _database()
    try:
        database.sql("create role kea login superuser password 'kea'")
        database.sql(_KEA_TABLES.read_text())
    except BaseException:
        database.close()
        raise
    return database


def _kea(place: Place, leases: Mapping[str, object], **more: object) -> Sequence[str]:
    quiet = {
        "name": "kea-dhcp4",
        "severity": "FATAL",
        "output_options": [{"output": "/dev/null"}],
    }
    subnet = {"id": 1, "subnet": "10.99.0.0/16", "pools": [{"pool": f"{_FIRST}-{_LAST}"}]}
    settings = {
        "interfaces-config": {"interfaces": [DEVICE], "dhcp-socket-type": "udp"},
        "multi-threading": {"enable-multi-threading": True},
        "lease-database": leases,
        "valid-lifetime": 3600,
        "subnet4": [subnet],
        "loggers": [quiet],
        **more,
    }
    file = place.folder / "kea.json"
    file.write_text(json.dumps({"Dhcp4": settings}))
    own = (f"{name}={place.folder}" for name in ("KEA_PIDFILE_DIR", "KEA_LOCKFILE_DIR"))
    return "env", *own, "kea-dhcp4", "-c", str(file)


def _nginx(place: Place) -> Sequence[str]:
    pair = certificates(place) / place.address
    return _nginx_command(
        place,
        f"listen {place.address}:443 ssl;"
        f" ssl_certificate {pair}.pem; ssl_certificate_key {pair}.key;",
    )


def _nginx_command(place: Place, also: str = "") -> Sequence[str]:
    """Write nginx's configuration with lines for its server, and return how it is started."""
    file = place.folder / "nginx.conf"
    names = {"folder": place.folder, "address": place.address, "content": place.content}
    file.write_text(_NGINX.format(**names, also=also))
    return "nginx", "-c", str(file)


def _tftpd_hpa(place: Place) -> Sequence[str]:
    return (
        *("in.tftpd", "--foreground", "--secure", "--user", "root"),
        *("--address", f"{place.address}:69", str(place.content)),
    )


def _atftpd(place: Place) -> Sequence[str]:
    return (
        *("atftpd", "--daemon", "--no-fork", "--user", "root", "--group", "root"),
        *("--bind-address", place.address, "--port", "69", "--maxthread", "2000"),
        *("--verbose=1", "--logfile", "/dev/null", str(place.content)),
    )


_database = partial(Postgres, fsync=True)

#: By the benchmark, the servers that it knows; ours first.
DHCP = (
    Server("pxetwist", _TWISTD, partial(_pxetwist_sqlite, durability="normal")),
    Server("pxetwist-full", _TWISTD, partial(_pxetwist_sqlite, durability="full")),
    Server("kea", "kea-dhcp4", _kea_memfile),
    Server("dnsmasq", "dnsmasq", _dnsmasq_dhcp),
    Server("pxetwist-postgres", _TWISTD, _pxetwist_postgres, database=_database, usual=False),
    Server(
        "pxetwist-postgres-two",
        _TWISTD,
        _pxetwist_postgres,
        database=_database,
        processes=2,
        usual=False,
    ),
    Server("kea-postgres", "kea-dhcp4", _kea_postgres, database=_kea_database, usual=False),
)
STORM = (
    Server("pxetwist", _TWISTD, _pxetwist_storm),
    Server("dnsmasq+nginx", "nginx", _dnsmasq_and_nginx),
)
TFTP = (
    Server("pxetwist", _TWISTD, _pxetwist_tftp),
    Server("dnsmasq", "dnsmasq", _dnsmasq_tftp),
    Server("tftpd-hpa", "in.tftpd", _tftpd_hpa, forks=True),
    Server("atftpd", "atftpd", _atftpd),
)
HTTP = (
    Server("pxetwist", _TWISTD, _pxetwist_http),
    Server("nginx", "nginx", _nginx),
)
NFS = (
    Server("pxetwist", _TWISTD, _pxetwist_nfs),
    Server("ganesha", "ganesha.nfsd", _ganesha),
)
#: What clients of each server of NFS mount.
NFS_EXPORTS: Mapping[str, Callable[[Place], str]] = {
    "pxetwist": lambda place: "/bench",
    "ganesha": lambda place: str(place.content),
}
