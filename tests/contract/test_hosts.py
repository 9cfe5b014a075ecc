"""The static directory keeps the contract, from every format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.hosts import static
from pxetwist.interfaces import IHostDirectory
from pxetwist.model.machine import Machine
from pxetwist.testing import make_site
from pxetwist.testing.contracts import HostDirectoryContract


class CsvTests(HostDirectoryContract, SynchronousTestCase):
    """The same for all formats: a folder with files."""

    def make_directory(self, machines: Sequence[Machine]) -> IHostDirectory:
        folder = Path(self.mktemp())
        folder.mkdir()
        for name, text in self.files(machines).items():
            (folder / name).write_text(text)
        return static.build(static.Settings(file=(folder,)), make_site())

    def files(self, machines: Sequence[Machine]) -> dict[str, str]:
        """Return names and texts of files."""
        return {"machines.csv": csv_of(machines)}


def csv_of(machines: Sequence[Machine]) -> str:
    labels = sorted({label for machine in machines for label in machine.labels})
    lines = [",".join(["name", "mac", "uuid", "address", *labels])]
    for machine in machines:
        cells = [machine.name, " ".join(machine.macs), machine.uuid, machine.address]
        cells += [machine.labels.get(label, "") for label in labels]
        lines.append(",".join(str(cell or "") for cell in cells))
    return "\n".join(lines)


class IniTests(CsvTests):
    def files(self, machines: Sequence[Machine]) -> dict[str, str]:
        text = ""
        for machine in machines:
            text += f"[{machine.name}]\nmac = {'; '.join(machine.macs)}\n"
            text += f"uuid = {machine.uuid}\n" if machine.uuid else ""
            text += f"address = {machine.address}\n" if machine.address else ""
            text += "".join(f"{label} = {value}\n" for label, value in machine.labels.items())
        return {"machines.ini": text}


class JsonTests(CsvTests):
    def files(self, machines: Sequence[Machine]) -> dict[str, str]:
        tree = [
            {
                "name": machine.name,
                "mac": machine.macs,
                "uuid": machine.uuid and str(machine.uuid),
                "address": machine.address and str(machine.address),
                **machine.labels,
            }
            for machine in machines
        ]
        return {"machines.json": json.dumps(tree)}


class YamlTests(CsvTests):
    def files(self, machines: Sequence[Machine]) -> dict[str, str]:
        text = ""
        for machine in machines:
            text += f"{machine.name}:\n  mac: [{', '.join(machine.macs)}]\n"
            text += f"  uuid: {machine.uuid or '~'}\n  address: {machine.address or '~'}\n"
            text += "".join(f"  {label}: {value}\n" for label, value in machine.labels.items())
        return {"machines.yaml": text}


def as_foreign(machine: Machine) -> Machine:
    client_id = b"\0" + machine.uuid.bytes_le if machine.uuid else b""
    return attrs.evolve(machine, labels={}, groups=("exam",), client_id=client_id)


class DnsmasqTests(CsvTests):
    """Other servers know no UUID but in the client id, and groups in the place of labels."""

    MACHINES = (
        as_foreign(HostDirectoryContract.MACHINES[0]),
        as_foreign(HostDirectoryContract.MACHINES[1]),
    )

    def files(self, machines: Sequence[Machine]) -> dict[str, str]:
        """Write lines of dnsmasq."""
        lines = []
        for machine in machines:
            words = [*machine.macs, machine.name, *(f"set:{name}" for name in machine.groups)]
            words += [f"id:{machine.client_id.hex(':')}"] if machine.client_id else []
            words += [str(machine.address)] if machine.address else []
            lines.append(",".join(words))
        return {"dhcp-hosts": "\n".join(lines)}


class IscTests(DnsmasqTests):
    def files(self, machines: Sequence[Machine]) -> dict[str, str]:
        text = "group exam {\n"
        for machine in machines:
            for number, mac in enumerate(machine.macs):
                text += f"host {machine.name}-{number} {{ hardware ethernet {mac};\n"
                text += f'option host-name "{machine.name}";\n'
                if machine.client_id:
                    text += f"option dhcp-client-identifier {machine.client_id.hex(':')};\n"
                text += f"fixed-address {machine.address};\n" if machine.address else ""
                text += "}\n"
        return {"dhcpd.conf": text + "}\n"}


class EthersTests(CsvTests):
    """They know nothing but MACs, names and addresses: the others are in a CSV."""

    def files(self, machines: Sequence[Machine]) -> dict[str, str]:
        rich = [machine for machine in machines if machine.uuid]
        bare = [machine for machine in machines if not machine.uuid]
        lines = [f"{machine.macs[0]} {machine.name}" for machine in bare]
        return {"machines.csv": csv_of(rich), "ethers": "\n".join(lines)}
