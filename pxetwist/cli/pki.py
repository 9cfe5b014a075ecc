"""``pxetwist pki``: certificates for HTTPS, for sites without an authority of their own."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives import serialization
from twisted.python import usage

from pxetwist.cli.file_options import FileOptions
from pxetwist.config.fields import integer
from pxetwist.config.load import Configuration, load
from pxetwist.config.web import addresses_served, key_files, names_served
from pxetwist.pki import authority as pki
from pxetwist.pki.authority import PkiError
from pxetwist.pki.folder import PkiFolder, replace, write_new
from pxetwist.services.http.certificates import KeyFiles, KeyPair
from pxetwist.wire.efi import encode_signature_lists

#: The owner that firmware notes beside our authorities, if no other one is given.
OWNER = UUID("7d1f4a5e-3c0b-4f7e-9b1a-70786574776a")
FORMATS = ("pem", "der", "esl")
_NAMES = "With no NAME: host-name and addresses of [service:https], else those of this host."


class _Verb(FileOptions):
    """What every verb has: the INI, the folder of the authority, lifetimes."""

    days = ""

    def __init__(self) -> None:
        super().__init__()
        self["names"] = ()

    def postOptions(self) -> None:
        """Check what was given."""
        if "days" in self:
            try:
                self["days"] = integer(1, 36500)(self["days"])
            except ValueError as error:
                raise usage.UsageError(f"--days: {error}") from None

    @property
    def configuration(self) -> Configuration:
        """What the INI says; certificates that it names need not be there yet.

        :raises ConfigErrors: with all mistakes in it.
        """
        return load(Path(self["file"]))

    def pki(self) -> PkiFolder:
        """Return the folder of the authority: ``pki`` beside the INI."""
        folder = self["folder"]
        return PkiFolder(Path(folder) if folder else Path(self["file"]).absolute().parent / "pki")


_FOLDER = ["folder", "d", None, "The folder of the authority; left out, pki beside FILE."]


class InitOptions(_Verb):
    """Options of ``pki init``."""

    synopsis = "FILE [options]"
    longdesc = "Makes an authority: ca.pem, which machines must trust, and ca.key, its secret."
    optParameters = [
        _FOLDER,
        ["name", "n", "Network boot", "Its name, as people see it in firmware set-up."],
        ["days", None, "7300", "How long it lasts."],
        ["bits", None, str(pki.RSA_BITS), "The size of its RSA key."],
    ]

    def postOptions(self) -> None:
        """Check what was given."""
        super().postOptions()
        try:
            self["bits"] = integer(3072, 8192)(self["bits"])
        except ValueError as error:
            raise usage.UsageError(f"--bits: {error}") from None


class _NamesOptions(_Verb):
    def parseArgs(self, *args: str) -> None:
        """Take the INI, and names."""
        super().parseArgs(*args[:1])
        self["names"] = args[1:]


class IssueOptions(_NamesOptions):
    """Options of ``pki issue``."""

    synopsis = "FILE [NAME ...] [options] | FILE --client NAME [options]"
    longdesc = "Makes a certificate for the server, or for a machine or person. " + _NAMES
    optParameters = [
        _FOLDER,
        ["client", "c", None, "Make one for this machine or person instead."],
        ["as", "a", None, "The name of its files; left out, where the INI wants it, else NAME."],
        ["days", None, "397", "How long it lasts."],
    ]


class RenewOptions(_NamesOptions):
    """Options of ``pki renew``."""

    synopsis = "FILE [NAME] [options]"
    longdesc = (
        "Makes a new certificate in the place of one that will be over: same names, same key."
        " NAME is that of its files; left out, all certificates of the INI that are of this"
        " authority. A running server takes them within seconds."
    )
    optParameters = [_FOLDER, ["days", None, "397", "How long it lasts."]]


class ExportOptions(_Verb):
    """Options of ``pki export``."""

    synopsis = "FILE [options]"
    longdesc = "Writes the authority's certificate as machines want it; it is no secret."
    optParameters = [
        _FOLDER,
        ["format", "f", "pem", "pem, der (set-up menus), or esl (an EFI signature list)."],
        ["owner", None, str(OWNER), "The owner's GUID in an EFI signature list."],
        ["output", "o", None, "Where to; left out, ca.FORMAT beside ca.pem."],
    ]

    def postOptions(self) -> None:
        """Check what was given."""
        if self["format"] not in FORMATS:
            raise usage.UsageError(f"--format: expected one of {', '.join(FORMATS)}")
        try:
            self["owner"] = UUID(self["owner"])
        except ValueError:
            raise usage.UsageError(f"--owner: expected a GUID, got {self['owner']!r}") from None


class Options(usage.Options):
    """Options of the command."""

    synopsis = "VERB FILE [options]"
    longdesc = "FILE is the INI. Begin with: pxetwist pki init FILE; pxetwist pki issue FILE"
    subCommands = [
        ["init", None, InitOptions, "Make an authority."],
        ["issue", None, IssueOptions, "Make a certificate for a server, machine or person."],
        ["renew", None, RenewOptions, "Make a certificate anew, with the same key."],
        ["export", None, ExportOptions, "Write what machines must trust."],
    ]

    def postOptions(self) -> None:
        """Insist on a verb."""
        if self.subCommand is None:
            raise usage.UsageError("pki needs one of init, issue, renew, export")


def run(options: Options) -> int:
    """Do what the verb says, and tell the next step."""
    verb, chosen = options.subCommand, options.subOptions
    now = datetime.now(UTC).replace(microsecond=0)
    work: dict[str, Callable[[Any, datetime], list[str]]]
    work = {"init": _init, "issue": _issue, "renew": _renew, "export": _export}
    print("\n".join(work[str(verb)](chosen, now)))
    return 0


def _init(options: InitOptions, now: datetime) -> list[str]:
    if not Path(options["file"]).exists():
        raise PkiError(f"there is no INI {options['file']}; its folder is where pki is made")
    folder = options.pki()
    folder.create()
    made = pki.make_authority(options["name"], options["days"], now, options["bits"])
    files = folder.authority_files
    write_new(files, pki.pem(made.certificate), pki.pem(made.key))
    ends = made.certificate.not_valid_after_utc
    return [
        f"{files.certificate}: the authority {options['name']!r}, until {ends:%Y-%m-%d}",
        f"{files.key}: its secret; whoever has it can boot your machines",
        f"next: pxetwist pki issue {options['file']}",
    ]


def _issue(options: IssueOptions, now: datetime) -> list[str]:
    folder = options.pki()
    authority, key = folder.authority(), pki.new_key()
    days, names = options["days"], tuple(options["names"])
    if options["client"] is not None:
        if names:
            raise usage.UsageError("--client NAME is all that a client is called")
        client = options["client"]
        certificate = pki.issue_client(authority, key.public_key(), client, days, now)
        files = folder.files(options["as"] or client)
    else:
        configuration = options.configuration
        names = names or _names(configuration)
        certificate = pki.issue_server(authority, key.public_key(), names, days, now)
        files = _files(configuration, folder, options["as"] or "", names[0])
    write_new(files, pki.pem(certificate), pki.pem(key))
    ends = certificate.not_valid_after_utc
    what = f"a client's certificate for {options['client']}" if options["client"] else ""
    what = what or f"a server's certificate for {', '.join(names)}"
    return [
        f"{files.certificate}: {what}, until {ends:%Y-%m-%d}",
        f"{files.key}: its private key",
        *([] if options["client"] else _wanted(options, files)),
    ]


def _names(configuration: Configuration) -> tuple[str, ...]:
    names = (*names_served(configuration), *map(str, addresses_served(configuration)))
    if not names:
        raise PkiError("this host has no address that machines could use; give NAMEs")
    return names


def _files(configuration: Configuration, folder: PkiFolder, given: str, name: str) -> KeyFiles:
    """Return where the INI wants the certificate of this name to be: a `certificate.NAME`, else
    `certificate`; unless a name for the files is given.
    """
    wanted = key_files(configuration)
    if given or not wanted:
        return folder.files(given or name)
    return next((files for files, of in wanted.items() if of == name), next(iter(wanted)))


def _wanted(options: IssueOptions, files: KeyFiles) -> list[str]:
    """Say what the INI must have, if it lacks it, or else what comes next."""
    wanted = key_files(options.configuration)
    ini = options["file"]
    if files in wanted:
        missing = [name for each, name in wanted.items() if name and not each.certificate.exists()]
        issue = [f"next: pxetwist pki issue {ini} {name}" for name in missing]
        return issue or [f"next: pxetwist pki export {ini} --format esl"]
    folder = Path(ini).absolute().parent
    shown = [os.path.relpath(each.absolute(), folder) for each in (files.certificate, files.key)]
    return ["to use it:", "[service:https]", f"certificate = {shown[0]}", f"key = {shown[1]}"]


def _renew(options: RenewOptions, now: datetime) -> list[str]:
    folder = options.pki()
    names = options["names"]
    if len(names) > 1:
        raise usage.UsageError("renew takes one NAME")
    authority, days = folder.authority(), options["days"]
    if names:
        files = folder.files(names[0])
        if files == folder.authority_files:
            raise PkiError(
                f"{files.certificate} is the authority, which is not renewed: machines would have"
                " to learn the new one as well"
            )
        return [_replaced(files, files.read(), authority, days, now)]
    pairs = {files: files.read() for files in key_files(options.configuration)}
    if not pairs:
        raise PkiError("the INI has no [service:https]; give the NAME of the files")
    ours = {files for files, pair in pairs.items() if pki.is_of(authority, pair.certificate)}
    if not ours:
        raise PkiError("no certificate of the INI is of this authority")
    return [
        _replaced(files, pair, authority, days, now)
        if files in ours
        else f"{files.certificate}: not of this authority, left as it is"
        for files, pair in pairs.items()
    ]


def _replaced(
    files: KeyFiles, pair: KeyPair, authority: pki.Authority, days: int, now: datetime
) -> str:
    """Put a new certificate for the same key in the place of the old one, and say so."""
    certificate = pki.renewed(authority, pair.certificate, days, now)
    data = pki.pem(certificate)
    if files.key == files.certificate:
        data += pair.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    replace(files.certificate, data)
    return f"{files.certificate}: until {certificate.not_valid_after_utc:%Y-%m-%d}"


def _export(options: ExportOptions, now: datetime) -> list[str]:
    folder = options.pki()
    certificate = folder.authority().certificate
    form = options["format"]
    der = certificate.public_bytes(serialization.Encoding.DER)
    data = {
        "pem": pki.pem(certificate),
        "der": der,
        "esl": encode_signature_lists([der], options["owner"]),
    }[form]
    file = Path(options["output"]) if options["output"] else folder.path / f"ca.{form}"
    if form == "pem" and file == folder.authority_files.certificate:
        return [str(file)]
    if options["output"] and file.exists() and file.read_bytes() != data:
        raise PkiError(f"{file} is there already, and is not overwritten")
    replace(file, data)
    return [str(file)]
