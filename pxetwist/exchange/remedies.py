"""The lines that another DHCP server needs: ISC dhcpd, Kea, dnsmasq, Windows.

Each function returns the lines by the name of the server's software.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

import attrs

ISC, KEA, DNSMASQ, WINDOWS = "ISC dhcpd", "Kea", "dnsmasq", "Windows (PowerShell)"

Lines = Mapping[str, Sequence[str]]


@attrs.frozen
class BootFileFor:
    """The first file of an architecture: its number (option 93), its name in tags, the file."""

    number: int
    name: str
    file: str


def point_here(server: IPv4Address, files: Sequence[BootFileFor], script: str) -> Lines:
    """Let that server hand out our address and boot files itself; iPXE gets `script`."""
    isc = ["option arch code 93 = unsigned integer 16;", f"next-server {server};"]
    isc.append(f'if option user-class = "iPXE" {{ filename "{script}"; }}')
    for each in files:
        number = each.number.to_bytes(2, "big").hex(":")
        isc.append(f'elsif option arch = {number} {{ filename "{each.file}"; }}')
    kea = [
        '"client-classes": [',
        '  { "name": "ipxe", "test": "option[77].hex == \'iPXE\'",',
        f'    "next-server": "{server}", "boot-file-name": "{script}" }}' + ("," if files else ""),
    ]
    for position, each in enumerate(files, 1):
        test = f"not member('ipxe') and option[93].hex == 0x{each.number:04x}"
        kea.append(f'  {{ "name": "{each.name}", "test": "{test}",')
        end = "," if position < len(files) else ""
        kea.append(f'    "next-server": "{server}", "boot-file-name": "{each.file}" }}{end}')
    kea.append("]")
    dnsmasq = ["dhcp-userclass=set:ipxe,iPXE", f"dhcp-boot=tag:ipxe,{script},,{server}"]
    windows = []
    for each in files:
        dnsmasq.append(f"dhcp-match=set:{each.name},option:client-arch,{each.number}")
        dnsmasq.append(f"dhcp-boot=tag:{each.name},tag:!ipxe,{each.file},,{server}")
    for each in files:
        windows += _windows_class(server, each)
    return {ISC: isc, KEA: kea, DNSMASQ: dnsmasq, WINDOWS: windows}


def _windows_class(server: IPv4Address, each: BootFileFor) -> list[str]:
    data = f"PXEClient:Arch:{each.number:05d}"
    policy = f"pxe-{each.name}"
    return [
        f'Add-DhcpServerv4Class -Name "{policy}" -Type Vendor -Data "{data}"',
        f'Add-DhcpServerv4Policy -Name "{policy}" -Condition OR -VendorClass EQ,"{policy}*"',
        f'Set-DhcpServerv4OptionValue -PolicyName "{policy}" -OptionId 66 -Value "{server}"',
        f'Set-DhcpServerv4OptionValue -PolicyName "{policy}" -OptionId 67 -Value "{each.file}"',
    ]


def next_server(server: IPv4Address) -> Lines:
    """Let that server name us as the next server (siaddr), for GRUB."""
    return {
        ISC: [f"next-server {server};"],
        KEA: [f'"next-server": "{server}"'],
        DNSMASQ: [f"dhcp-boot=,,{server}"],
        WINDOWS: [f'Set-DhcpServerv4OptionValue -OptionId 66 -Value "{server}"'],
    }


def remove_class() -> Lines:
    """Take option 60 out of that server: with it firmware asks its port 4011."""
    return {
        ISC: ['delete: option vendor-class-identifier "PXEClient";'],
        KEA: ['delete from "option-data": { "name": "vendor-class-identifier", … }'],
        DNSMASQ: [
            "delete: dhcp-option=60,PXEClient  (also dhcp-option-force=60,…, pxe-service=…)"
        ],
        WINDOWS: [
            "Remove-DhcpServerv4OptionValue -OptionId 60",
            "netsh dhcp server delete optionvalue 60",
        ],
    }


def stop_proxy() -> Lines:
    """Let that server make no ProxyDHCP offers any more."""
    return {
        DNSMASQ: ["delete: dhcp-range=…,proxy", "delete: pxe-service=…, pxe-prompt=…"],
        WINDOWS: ["WDSUTIL /Set-Server /AnswerClients:None"],
    }


def remove_boot() -> Lines:
    """Take the boot data out of that server."""
    return {
        ISC: ['delete: next-server …; filename "…"; options tftp-server-name, bootfile-name'],
        KEA: ['delete: "next-server", "boot-file-name", "server-hostname"; options 66 and 67'],
        DNSMASQ: ["delete: dhcp-boot=…  (also dhcp-option=66,… and dhcp-option=67,…)"],
        WINDOWS: [
            "Remove-DhcpServerv4OptionValue -OptionId 66,67",
            "netsh dhcp server delete optionvalue 66",
            "netsh dhcp server delete optionvalue 67",
        ],
    }


def stop_addresses(network: IPv4Network) -> Lines:
    """Let that server give no addresses in a network any more."""
    scope = network.network_address
    return {
        ISC: [f"delete the range: subnet {scope} netmask {network.netmask} {{ range … }}"],
        KEA: [f'delete from "subnet4": the "pools" of "{network}"'],
        DNSMASQ: ["delete: dhcp-range=…"],
        WINDOWS: [f"Set-DhcpServerv4Scope -ScopeId {scope} -State InActive"],
    }


def spelled(lines: Lines) -> list[str]:
    """Return them for people, each server's below its name."""
    return [
        text
        for name, each in lines.items()
        if each
        for text in (f"{name}:", *(f"  {line}" for line in each))
    ]
