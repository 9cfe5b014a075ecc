"""An INI that was changed while the server runs: it is not read again, and SIGHUP says so."""

from __future__ import annotations

from twisted.logger import Logger

from pxetwist.config.ini import Ini
from pxetwist.config.load import Configuration, load
from pxetwist.errors import ConfigError, ConfigErrors

_log = Logger(namespace="pxetwist")


def tell_changes(configuration: Configuration) -> None:
    """Log what is not taken over, and the mistakes that would hinder the next start."""
    errors: list[ConfigError] = []
    file = configuration.file
    texts = Ini(file, errors).texts
    if not errors and texts == configuration.texts:
        return
    try:
        load(file)
    except ConfigErrors as mistakes:
        for error in mistakes.errors:
            _log.error("{error}", error=error)
        _log.error(
            "{file} could not be started with as it is now; the server goes on with what it read"
            " at its start",
            file=file,
        )
    else:
        _log.warn(
            "{file} has changed since the start, and is read at the start only: the server goes on"
            " with what it read then; after `pxetwist check` start it anew",
            file=file,
        )
