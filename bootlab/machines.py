"""Virtual machines: which firmware speaks, and QEMU's words for it."""

from __future__ import annotations

import enum
import shutil
from collections.abc import Callable
from pathlib import Path

import attrs

from bootlab.disks import Disk
from bootlab.network import Lan
from bootlab.processes import LabError, Process
from bootlab.variables import CARD_SLOT, boot_network_once

_OVMF = Path("/usr/share/OVMF")
#: EDK2 before 2025 does not wait until its own address is checked before it begins HTTP Boot: the
#: first try of a machine that was just switched on fails, unless its boot menu waits (in ms).
_UNTIL_IPV6_IS_UP = 5000


class Firmware(enum.Enum):
    """Who speaks first."""

    BIOS = "SeaBIOS with the iPXE ROM of the network card"
    UEFI = "OVMF with its own PXE"
    UEFI_HTTP = "OVMF with its own HTTP Boot, PXE switched off"
    UEFI6 = "OVMF with its own PXE over IPv6"
    UEFI_HTTP6 = "OVMF with its own HTTP Boot over IPv6"
    SECURE_BOOT = "OVMF with its own PXE and Secure Boot enforced"


@attrs.frozen
class Machine:
    """A virtual machine: it boots from its network card first, then from its disk."""

    name: str
    mac: str
    firmware: Firmware = Firmware.BIOS
    disk: Disk | None = None
    memory: int = 1024  # MiB
    serial: str = ""  # SMBIOS type 1
    asset: str = ""  # SMBIOS type 3
    authorities: Path | None = None  # an EFI signature list: whose certificates it trusts

    @property
    def uuid(self) -> str:
        """Its SMBIOS UUID, different for each machine."""
        return f"77000000-0000-4000-8000-{self.mac.replace(':', '')}"

    def start(self, lan: Lan, folder: Path, echo: Callable[[str], None] | None = None) -> Process:
        """Power it on; the process prints what the machine says on its serial line."""
        command = [
            *("qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-no-reboot"),
            *("-display", "none", "-m", str(self.memory), "-uuid", self.uuid),
            *("-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial"),
            *("-device", "virtio-rng-pci"),  # OVMF's network stack wants entropy
            *("-netdev", f"tap,id=net,ifname={lan.tap()},script=no,downscript=no"),
            *self._firmware_words(folder),
        ]
        if self.serial:
            command += ["-smbios", f"type=1,serial={self.serial}"]
        if self.asset:
            command += ["-smbios", f"type=3,asset={self.asset}"]
        if self.authorities is not None:
            command += ["-fw_cfg", f"name=etc/edk2/https/cacerts,file={self.authorities}"]
        if self.disk is not None:
            command += ["-drive", f"if=none,id=disk,{self.disk.drive}"]
            command += ["-device", "virtio-blk-pci,drive=disk,bootindex=2"]
        return lan.server.start(command, folder / f"{self.name}.serial.log", echo)

    def _firmware_words(self, folder: Path) -> list[str]:
        card = f"virtio-net-pci,netdev=net,mac={self.mac}"
        if self.firmware is Firmware.BIOS:
            # graphics=off makes SeaBIOS and iPXE write to the serial line.
            return ["-machine", "pc,graphics=off", "-device", f"{card},bootindex=1"]
        secure = self.firmware is Firmware.SECURE_BOOT
        code, variables = _ovmf(secure)
        own = folder / f"{self.name}.vars.fd"
        shutil.copyfile(variables, own)
        http = self.firmware is Firmware.UEFI_HTTP
        if not http:
            ipv6 = self.firmware in (Firmware.UEFI6, Firmware.UEFI_HTTP6)
            boot_network_once(own, self.mac, ipv6=ipv6, http=self.firmware is Firmware.UEFI_HTTP6)
        flash = "if=pflash,format=raw,unit="
        words = ["-machine", "q35,smm=on" if secure else "q35"]
        if secure:
            words += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
            words += ["-global", "ICH9-LPC.disable_s3=1"]
        if http:
            for version in ("IPv4", "IPv6"):
                words += ["-fw_cfg", f"name=opt/org.tianocore/{version}PXESupport,string=n"]
        if self.firmware is Firmware.UEFI_HTTP6:
            words += ["-boot", f"menu=on,splash-time={_UNTIL_IPV6_IS_UP}"]
        words += ["-drive", f"{flash}0,readonly=on,file={code}", "-drive", f"{flash}1,file={own}"]
        return [*words, "-device", f"{card},addr={CARD_SLOT:#x},romfile="]  # no iPXE ROM


def _ovmf(secure: bool) -> tuple[Path, Path]:
    flavour = ".ms.fd" if secure else ".fd"
    code, variables = _OVMF / f"OVMF_CODE_4M{flavour}", _OVMF / f"OVMF_VARS_4M{flavour}"
    if not code.exists():
        raise LabError(f"{code} is missing; scripts/install-debian installs what the lab needs")
    return code, variables
