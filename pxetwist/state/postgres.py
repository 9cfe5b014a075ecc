"""How the INI names a database of PostgreSQL's."""

from __future__ import annotations

from importlib.util import find_spec
from urllib.parse import parse_qsl, urlsplit

from pxetwist.state.database import PostgresDatabase

_SECRETS = ("password", "sslpassword")


def postgres_url(value: str) -> str:
    """Expect postgresql://USER@HOST/DATABASE, without a password."""
    expected = "expected a URL like postgresql://USER@HOST/DATABASE"
    scheme, _, rest = value.partition(":")
    if scheme not in ("postgresql", "postgres") or not rest.startswith("//"):
        raise ValueError(expected)  # the text is not shown: it might hold a password
    try:
        url = urlsplit(value)
        inline = url.password is not None
    except ValueError:
        raise ValueError(expected) from None
    if inline or any(secret in dict(parse_qsl(url.query)) for secret in _SECRETS):
        raise ValueError("a password has no place in the INI; name its file by password-file")
    if find_spec("psycopg") is None:
        raise ValueError("PostgreSQL needs: pip install 'pxetwist[postgres]'")
    return str(value)


def postgres_database(url: str, password: str) -> PostgresDatabase:
    """Return the database of a URL; nothing is opened."""
    return PostgresDatabase(url, postgres_title(url), password)


def postgres_title(url: str) -> str:
    """Return what people call the database of a URL: without users and options."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2] or dict(parse_qsl(parts.query)).get("host", "localhost")
    return f"postgresql://{host}/{parts.path.strip('/')}"
