"""What a kernel's command line is made of: the words that each family of distributions knows."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from pxetwist.model.nfs_root import nfs_arguments

#: Loader families, in the order in which one is chosen when a plan names none.
LOADER_FAMILIES = ("ipxe", "grub", "pxelinux")

#: What a profile may say apart from its arguments, and how its value looks; see `FAMILIES`.
WISHES: Mapping[str, tuple[str, str]] = {
    "root": (
        r"[^\s\x00-\x1f\x7f]+",
        "a root like export:NAME or nfs://10.0.0.1/srv/root, without white space",
    ),
    "console": (r"[\w,.:-]+( [\w,.:-]+)*", "consoles like tty0 ttyS0,115200n8"),
    "locale": (r"[\w.@,-]+", "a locale like de_DE.UTF-8"),
    "keymap": (r"[\w.,-]+", "a keymap like de"),
    "timezone": (r"[\w/+-]+", "a time zone like Europe/Berlin"),
}

#: The arguments of each family for each wish; what is missing, it cannot be told.
#: live-boot(7), live-config(7); the installation guide of Debian, B.2.2 and B.4; dracut.cmdline(7)
#: for the initramfs and kernel-command-line(7) for the system behind it. Installers: see ANSWERED.
FAMILIES: Mapping[str, Mapping[str, str]] = {
    "generic": {"root": "root={}", "console": "console={}"},
    "diskless": {"root": "root={}", "console": "console={}"},
    "initramfs-tools": {"root": "root={}", "console": "console={}"},
    "debian-live": {
        "root": "netboot=nfs nfsroot={}",
        "console": "console={}",
        "locale": "locales={}",
        "keymap": "keyboard-layouts={}",
        "timezone": "timezone={}",
    },
    "debian-installer": {
        "console": "console={}",
        "locale": "locale={}",
        "keymap": "keyboard-configuration/xkb-keymap={}",
        "timezone": "time/zone={}",
    },
    "dracut": {
        "root": "root={}",
        "console": "console={}",
        "locale": "rd.locale.LANG={0} locale.LANG={0}",
        "keymap": "rd.vconsole.keymap={0} vconsole.keymap={0}",
    },
    "anaconda": {
        "root": "inst.stage2={}",
        "console": "console={}",
        "locale": "inst.lang={}",
        "keymap": "inst.keymap={}",
    },
    "subiquity": {"root": "url={}", "console": "console={}"},
    "autoyast": {
        "root": "install={}",
        "console": "console={}",
        "locale": "lang={}",
        "keymap": "keytable={}",
    },
}

#: How installers are told where the answers to their questions are.
#: The installation guide of Debian, B.2.2; Anaconda's boot options; autoinstall of Ubuntu Server
#: with cloud-init's NoCloud; linuxrc and AutoYaST.
ANSWERED: Mapping[str, str] = {
    "debian-installer": "auto=true priority=critical interface=auto url={{ answer }}",
    "anaconda": "inst.ks={{ answer }}",
    "subiquity": "autoinstall ds=nocloud-net;s={{ answer_folder }}/",
    "autoyast": "autoyast={{ answer }}",
}
#: Wishes that answers tell an installer, if its kernel cannot be told.
BY_ANSWER = ("locale", "keymap", "timezone")


@attrs.frozen
class Setting:
    """One value of a plan, and for people where it comes from: a section, a rule, a label."""

    name: str
    value: str
    origin: str


def checked(name: str, value: str) -> str:
    """Return a wish in one spelling: a single space between its words.

    :raises ValueError: if it does not look like one.
    """
    pattern, expected = WISHES[name]
    tidy = " ".join(value.split())
    if not re.fullmatch(pattern, tidy):
        raise ValueError(f"expected {expected}, got {value!r}")
    return tidy


def unknown_wish(family: str, name: str) -> str:
    """Say that a family cannot be told something, and what would mend it."""
    knowing = [each for each, words in FAMILIES.items() if name in words]
    return (
        f"kernels of the family {family} cannot be told their {name}: give the profile the right"
        f" family ({', '.join(knowing)}), or write arguments"
    )


def names_answer(arguments: str) -> bool:
    """Whether arguments say themselves where the answers are."""
    return re.search(r"\banswer(_folder)?\b", arguments) is not None


def kernel_arguments(family: str, wishes: Mapping[str, str]) -> str:
    """Spell wishes as arguments; those that the family does not know are left out."""
    words = []
    for name in WISHES:
        form, value = FAMILIES[family].get(name, ""), wishes.get(name, "")
        if not form or not value:
            continue
        if name == "root" and (by_nfs := nfs_arguments(family, value)):
            words.append(by_nfs)
            continue
        if family == "debian-live" and name == "root":
            if "://" in value:
                form = "fetch={}"  # a file system that is loaded whole
            value = value.removeprefix("nfs:")
        values = value.split() if name == "console" else [value]
        words += [form.format(each) for each in values]
    return " ".join(words)


def with_arguments(arguments: str, more: str) -> str:
    """Append arguments, but before a ``--`` or ``---``: what follows is for init, or for the
    system that Debian's installer installs.
    """
    words = arguments.split()
    end = next((n for n, word in enumerate(words) if word in ("--", "---")), len(words))
    return " ".join([*words[:end], *more.split(), *words[end:]])
