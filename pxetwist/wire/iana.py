"""Registries of IANA as open enumerations: any number in range is a member, known or not."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class OpenIntEnum(IntEnum):
    """An IntEnum in which unknown numbers are members too, printed as ``Name.UNKNOWN_n``."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, int) or not 0 <= value <= 0xFFFFFFFF:
            return None
        member = int.__new__(cls, value)
        member._name_ = f"UNKNOWN_{value}"
        member._value_ = value
        return member


class HardwareType(OpenIntEnum):
    """ARP hardware types (``htype``)."""

    ETHERNET = 1
    IEEE802 = 6
    INFINIBAND = 32


class Dhcp4Op(OpenIntEnum):
    """BOOTP ``op``."""

    REQUEST = 1
    REPLY = 2


class Dhcp4Type(OpenIntEnum):
    """DHCP message types, option 53 (RFC 2132 §9.6)."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class Dhcp6Type(OpenIntEnum):
    """DHCPv6 message types (RFC 8415 §7.3)."""

    SOLICIT = 1
    ADVERTISE = 2
    REQUEST = 3
    CONFIRM = 4
    RENEW = 5
    REBIND = 6
    REPLY = 7
    RELEASE = 8
    DECLINE = 9
    RECONFIGURE = 10
    INFORMATION_REQUEST = 11
    RELAY_FORW = 12
    RELAY_REPL = 13


class Dhcp6Option(OpenIntEnum):
    """DHCPv6 options (RFC 8415 §21; boot: RFC 5970)."""

    CLIENT_ID = 1
    SERVER_ID = 2
    IA_NA = 3
    IA_TA = 4
    IA_ADDRESS = 5
    OPTION_REQUEST = 6
    PREFERENCE = 7
    ELAPSED_TIME = 8
    RELAY_MESSAGE = 9
    AUTHENTICATION = 11
    SERVER_UNICAST = 12
    STATUS_CODE = 13
    RAPID_COMMIT = 14
    USER_CLASS = 15
    VENDOR_CLASS = 16
    VENDOR_OPTIONS = 17
    INTERFACE_ID = 18
    RECONFIGURE_ACCEPT = 20
    NAME_SERVERS = 23
    DOMAIN_SEARCH = 24
    IA_PD = 25
    IA_PREFIX = 26
    SNTP_SERVERS = 31
    INFORMATION_REFRESH = 32
    REMOTE_ID = 37
    SUBSCRIBER_ID = 38
    CLIENT_FQDN = 39
    NTP_SERVER = 56
    BOOT_FILE_URL = 59
    BOOT_FILE_PARAMETERS = 60
    CLIENT_ARCHITECTURE = 61
    NETWORK_INTERFACE = 62
    CLIENT_LINK_LAYER = 79
    SOLICIT_MAX_RT = 82
    INFORMATION_MAX_RT = 83
    RELAY_SOURCE_PORT = 135


class Dhcp6Status(OpenIntEnum):
    """DHCPv6 status codes (RFC 8415 §21.13)."""

    SUCCESS = 0
    UNSPEC_FAIL = 1
    NO_ADDRS_AVAIL = 2
    NO_BINDING = 3
    NOT_ON_LINK = 4
    USE_MULTICAST = 5
    NO_PREFIX_AVAIL = 6


class DuidType(OpenIntEnum):
    """Kinds of DHCP unique identifiers (RFC 8415 §11, RFC 6355)."""

    LINK_LAYER_TIME = 1
    ENTERPRISE = 2
    LINK_LAYER = 3
    UUID = 4


class Architecture(OpenIntEnum):
    """Processor Architecture Types, option 93 (RFC 4578 with erratum 4624, RFC 5970)."""

    X86_BIOS = 0
    IA64 = 2
    X86_UEFI = 6
    X64_UEFI = 7
    EBC = 9
    ARM32_UEFI = 10
    ARM64_UEFI = 11
    POWER_OPAL = 14
    X86_UEFI_HTTP = 15
    X64_UEFI_HTTP = 16
    EBC_HTTP = 17
    ARM32_UEFI_HTTP = 18
    ARM64_UEFI_HTTP = 19
    X86_BIOS_HTTP = 20
    ARM32_UBOOT = 21
    ARM64_UBOOT = 22
    ARM32_UBOOT_HTTP = 23
    ARM64_UBOOT_HTTP = 24
    RISCV32_UEFI = 25
    RISCV32_UEFI_HTTP = 26
    RISCV64_UEFI = 27
    RISCV64_UEFI_HTTP = 28
    LOONGARCH64_UEFI = 39
    LOONGARCH64_UEFI_HTTP = 40
    RPIBOOT = 41

    @property
    def short(self) -> str:
        """The name used in the INI: ``bios``, ``x64``, …; 7 and 9 are both x64 (erratum 4624)."""
        return _SHORT.get(int(self), f"arch{int(self)}")

    @property
    def is_http(self) -> bool:
        """Whether this code announces UEFI (or BIOS) HTTP boot."""
        return int(self) in _HTTP


_SHORT = {
    0: "bios",
    2: "ia64",
    6: "ia32",
    7: "x64",
    9: "x64",
    10: "arm32",
    11: "arm64",
    14: "opal",
    15: "ia32",
    16: "x64",
    17: "x64",
    18: "arm32",
    19: "arm64",
    20: "bios",
    21: "arm32",
    22: "arm64",
    23: "arm32",
    24: "arm64",
    25: "riscv32",
    26: "riscv32",
    27: "riscv64",
    28: "riscv64",
    39: "loongarch64",
    40: "loongarch64",
    41: "rpi",
}
_HTTP = frozenset({15, 16, 17, 18, 19, 20, 23, 24, 26, 28, 40})

#: Every architecture name that the INI knows.
ARCHITECTURE_NAMES = tuple(sorted(set(_SHORT.values())))
