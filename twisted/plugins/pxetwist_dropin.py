"""What pxetwist gives to Twisted: ``twistd pxe``, and its own plugins by the names of modules."""

from twisted.application.service import ServiceMaker

from pxetwist.plugins import PluginFactory

pxe = ServiceMaker("pxetwist", "pxetwist.tap", "A network boot server.", "pxe")

static = PluginFactory(
    "hosts",
    "static",
    "pxetwist.hosts.static",
    "Machines from files: CSV, INI, JSON, YAML, dnsmasq, ISC dhcpd, ethers.",
)
ldap = PluginFactory(
    "hosts", "ldap", "pxetwist.hosts.ldap.plugin", "Machines from LDAP or Active Directory."
)
sql = PluginFactory(
    "hosts", "sql", "pxetwist.hosts.sql", "Machines from SQLite or PostgreSQL, by your own query."
)
web = PluginFactory(
    "hosts", "http", "pxetwist.hosts.http", "Machines from a web service that answers with JSON."
)
approved = PluginFactory(
    "hosts", "approved", "pxetwist.hosts.approved", "Machines that reported and were approved."
)
rules = PluginFactory(
    "policy", "rules", "pxetwist.policies.rules", "The first rule that matches decides."
)
fixed = PluginFactory(
    "policy", "fixed", "pxetwist.policies.fixed", "The same profile for every machine."
)
menu = PluginFactory(
    "policy", "menu", "pxetwist.policies.menu", "A boot menu per group, with locked entries."
)
orders = PluginFactory(
    "policy", "orders", "pxetwist.policies.orders", "What a machine boots once, by an order."
)
pixiecore = PluginFactory(
    "policy",
    "pixiecore",
    "pxetwist.policies.pixiecore",
    "What a back end of pixiecore's answered, as hosts:http has asked it.",
)
discover = PluginFactory(
    "policy", "discover", "pxetwist.policies.discover", "Unknown machines report, and wait."
)
memory = PluginFactory(
    "state", "memory", "pxetwist.state.memory", "Leases that are forgotten at the end."
)
sqlite = PluginFactory("state", "sqlite", "pxetwist.state.sqlite", "Leases in an SQLite file.")
postgresql = PluginFactory(
    "state",
    "postgresql",
    "pxetwist.state.postgresql",
    "Leases in PostgreSQL, for several servers.",
)
directory = PluginFactory(
    "content", "directory", "pxetwist.content.directory", "Files below a folder."
)
iso = PluginFactory(
    "content", "iso", "pxetwist.content.iso", "Images, and files in them that nobody unpacked."
)
upstream = PluginFactory(
    "content",
    "upstream",
    "pxetwist.content.upstream",
    "Files of a web server, fetched when somebody wants them, and kept.",
)
rendered = PluginFactory(
    "content", "rendered", "pxetwist.content.rendered", "Scripts of loaders, made from the plan."
)
images = PluginFactory(
    "content", "images", "pxetwist.content.images", "Kernels of what pxetwist image has built."
)
image = PluginFactory(
    "export", "image", "pxetwist.exports.image", "What pxetwist image has built, as a root."
)
directory_export = PluginFactory(
    "export", "directory", "pxetwist.exports.directory", "A folder, as the root of machines."
)
iso_export = PluginFactory(
    "export", "iso", "pxetwist.exports.iso", "What is inside an image, as the root of machines."
)
machines_export = PluginFactory(
    "export",
    "machines",
    "pxetwist.exports.machines",
    "Files of machines, of their groups and of all; some of them made by templates.",
)
overlay_export = PluginFactory(
    "export",
    "overlay",
    "pxetwist.exports.overlay",
    "Exports over one another: the first that has a file.",
)
log = PluginFactory("observer", "log", "pxetwist.observers.log", "One log line for each event.")
dhcp = PluginFactory(
    "service", "dhcp", "pxetwist.services.dhcp.service", "DHCP: addresses and what to boot."
)
dhcp6 = PluginFactory(
    "service", "dhcp6", "pxetwist.services.dhcp6.service", "DHCPv6 and router advertisements."
)
proxydhcp = PluginFactory(
    "service",
    "proxydhcp",
    "pxetwist.services.dhcp.proxy",
    "What to boot, beside another DHCP server.",
)
tftp = PluginFactory("service", "tftp", "pxetwist.services.tftp.service", "Files by TFTP.")
http = PluginFactory(
    "service", "http", "pxetwist.services.http.service", "Files and scripts by HTTP."
)
https = PluginFactory(
    "service", "https", "pxetwist.services.http.https", "Files and scripts by HTTPS."
)
ftp = PluginFactory("service", "ftp", "pxetwist.services.ftp.service", "Files by FTP, to be read.")
nfs = PluginFactory(
    "service", "nfs", "pxetwist.services.nfs.service", "Roots of machines by NFS 3."
)
sftp = PluginFactory(
    "service", "sftp", "pxetwist.services.sftp.service", "Files by SFTP, and uploads of operators."
)
syslog = PluginFactory(
    "service", "syslog", "pxetwist.services.syslog", "Lines that machines log, to their events."
)
