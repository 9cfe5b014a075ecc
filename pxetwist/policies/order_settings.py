"""The options of ``[policy:orders]``, and the database they mean."""

from __future__ import annotations

import attrs

from pxetwist.config.fields import (
    Line,
    choice,
    integer,
    list_of,
    option,
    seconds,
    secret_file,
    text,
)
from pxetwist.interfaces import Site
from pxetwist.model.order import Terms
from pxetwist.policies.fixed import profile_name
from pxetwist.state.database import Database, SqliteDatabase
from pxetwist.state.postgres import postgres_database, postgres_url


@attrs.frozen
class Settings:
    """How orders are handed out, and where they are kept."""

    then: Line | None = option(
        profile_name,
        default=None,
        doc="The profile of machines whose last order is done or failed, unless the order names"
        " one; without it the next policy decides.",
    )
    done: str = option(
        choice("callback", "taken"),
        default="callback",
        doc="When an order is done: when the machine calls back, or as soon as it was taken.",
    )
    attempts: int = option(
        integer(1, 10),
        default=1,
        doc="How many boots may take one order, if none of them calls back.",
    )
    time_limit: float = option(
        seconds,
        default=4 * 3600.0,
        doc="So long after it was first taken an order without a call-back is failed.",
    )
    expires: float = option(
        seconds,
        default=30 * 86400.0,
        doc="An order that nobody took for so long is void, unless it says so itself; 0: never.",
    )
    label: str = option(
        text,
        default="order",
        doc="The label of machines that holds an order, as PROFILE or PROFILE#WORD; it is done"
        " once for each value.",
    )
    self_service: tuple[str, ...] = option(
        list_of(text),
        default=(),
        doc="Profiles that a machine may order for itself, by POST to {{ callback }}/order.",
    )
    database: str = option(
        postgres_url,
        default="",
        doc="postgresql://USER@HOST/DATABASE?OPTIONS, to share orders among servers; without it"
        " they are in orders.sqlite in the state folder.",
    )
    password_file: str = option(
        secret_file, default="", doc="A file with the password of the database."
    )

    @property
    def terms(self) -> Terms:
        """How orders are handed out."""
        return Terms(self.attempts, self.time_limit, self.done == "taken")

    def database_of(self, site: Site) -> Database:
        """Return where the orders are; nothing is opened."""
        if not self.database:
            return SqliteDatabase(site.state_folder / "orders.sqlite")
        return postgres_database(self.database, self.password_file)
