"""The static directory keeps the contract, from both formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.hosts import static
from pxetwist.interfaces import IHostDirectory
from pxetwist.model.machine import Machine
from pxetwist.testing import make_site
from pxetwist.testing.contracts import HostDirectoryContract


class CsvTests(HostDirectoryContract, SynchronousTestCase):
    def make_directory(self, machines: Sequence[Machine]) -> IHostDirectory:
        labels = sorted({label for machine in machines for label in machine.labels})
        lines = [",".join(["name", "mac", "uuid", "address", *labels])]
        for machine in machines:
            cells = [machine.name, " ".join(machine.macs), machine.uuid, machine.address]
            cells += [machine.labels.get(label, "") for label in labels]
            lines.append(",".join(str(cell or "") for cell in cells))
        file = Path(self.mktemp() + ".csv")
        file.write_text("\n".join(lines))
        return static.build(static.Settings(file=(file,)), make_site())


class IniTests(HostDirectoryContract, SynchronousTestCase):
    def make_directory(self, machines: Sequence[Machine]) -> IHostDirectory:
        text = ""
        for machine in machines:
            text += f"[{machine.name}]\nmac = {'; '.join(machine.macs)}\n"
            text += f"uuid = {machine.uuid}\n" if machine.uuid else ""
            text += f"address = {machine.address}\n" if machine.address else ""
            text += "".join(f"{label} = {value}\n" for label, value in machine.labels.items())
        file = Path(self.mktemp() + ".ini")
        file.write_text(text)
        return static.build(static.Settings(file=(file,)), make_site())
