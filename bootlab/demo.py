"""The demo: a virtual machine boots from pxetwist while you watch. Run it by ``make demo``."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bootlab.lab import ROOT, Lab
from bootlab.linux import BOOTED
from bootlab.machines import Firmware, Machine
from bootlab.processes import TERMINAL, LabError
from bootlab.server import command, prepare_site, start_server

_INI = Path(__file__).parent / "demosite" / "pxe.ini"
_MACHINES = {
    "bios": Machine("demo-bios", "52:54:00:77:01:01", Firmware.BIOS),
    "uefi": Machine("demo-uefi", "52:54:00:77:01:02", Firmware.UEFI),
    "secure": Machine("demo-secure", "52:54:00:77:01:03", Firmware.SECURE_BOOT),
}


def main(arguments: Sequence[str]) -> int:
    """Run the demo; return what the shell wants to know."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument(
        "firmware",
        nargs="?",
        default="bios",
        choices=_MACHINES,
        help="bios (the default), uefi, or secure: UEFI with Secure Boot enforced",
    )
    machine = _MACHINES[parser.parse_args(arguments).firmware]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as after Ctrl-C
    try:
        with Lab("demo") as lab:
            end = _show(lab, machine)
    except LabError as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Everything was stopped and removed.")
        return 130
    print(f"\nEverything was stopped and removed; the logs are in {_short(lab.folder)}.\n{end}")
    return 0


def _show(lab: Lab, machine: Machine) -> str:
    """Boot the machine before their eyes; return how it ended."""
    inside = lab.lan.server
    _step(
        1,
        "A network of its own",
        f"Network namespace {inside.name}, with a bridge {lab.lan.bridge} on which the server has"
        f" {lab.lan.address}.\nNothing reaches the networks of this computer.",
    )
    _step(
        2,
        "What to serve",
        "Boot loaders of this Debian, its kernel, and an initramfs with busybox."
        "\nThe first time the kernel's package is fetched (70 MB, not installed).",
    )
    ini = prepare_site(lab.folder / "site", _INI)
    print(f"The configuration is in {_short(ini)}; the machines are in hosts.csv beside it.")
    words = " ".join(_short(word) for word in (*inside.inside, *command(ini)))
    _step(3, "The server", f"Inside the namespace:\n  {words}")
    log = lab.folder / "server.log"
    lab.keep(start_server(lab.lan, ini, log, _lines("server")))
    _step(
        4,
        "A machine",
        f"QEMU, {machine.firmware.value}, MAC address {machine.mac}: hosts.csv calls it"
        f" {machine.name}.\nNo disk, so it must boot from the network. Power on:",
    )
    begin = time.monotonic()
    told = lab.boot(machine, _lines("console")).wait_for(BOOTED, 300)
    seconds = time.monotonic() - begin
    return f"Linux is up: {told['name']} at {told['address']}, {seconds:.1f} s after power-on."


def _step(number: int, title: str, text: str) -> None:
    print(f"\n{number}. {title}\n{text}", flush=True)


def _lines(who: str) -> Callable[[str], None]:
    """Return what prints an output line by line, without drawing over the terminal."""
    rest = ""

    def show(piece: str) -> None:
        nonlocal rest
        *whole, rest = (rest + piece).split("\n")
        for line in whole:
            # what a carriage return would write over is progress
            shown = TERMINAL.sub("", line.rstrip("\r")).rpartition("\r")[2].rstrip()
            if shown:
                print(f"  {who:7} | {shown}", flush=True)

    return show


def _short(path: Path | str) -> str:
    """Show a path as it is from the checkout."""
    return str(path).removeprefix(f"{ROOT}/")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
