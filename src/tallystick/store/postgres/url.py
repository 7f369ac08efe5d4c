"""What a PostgreSQL URL may say: libpq's own parameters, two of ours, and a password that is never shown.

    postgresql://user:password@one:5432,two:5432/books?target_session_attrs=read-write&schema=cards&prepare=off

`schema` is the schema that all tables are in, `tallystick` if it is left out. `prepare=off` keeps no prepared
statements and sets nothing on a session, as PgBouncer needs it where it shares connections by transaction.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

import attrs
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from tallystick.errors import Invalid, nearest

SCHEMA = "tallystick"
OURS = ("schema", "prepare")
SECRETS = ("password", "sslpassword")
LONGEST = 63  # bytes of a name; PostgreSQL cuts what is longer


@attrs.frozen
class Address:
    url: str  # without a password
    conninfo: str = attrs.field(repr=False)  # for libpq
    secrets: tuple[str, ...] = attrs.field(repr=False)
    schema: str = SCHEMA
    prepare: bool = True

    def without_secrets(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "…")
        return text


def address(url: str) -> Address:
    """A URL taken apart. Raises Invalid, which does not repeat what may be a password."""
    try:
        parts = urlsplit(url)
        given = [each.partition("=") for each in parts.query.split("&") if each]
        _check_options(parts.query, [name for name, _, _ in given])
        ours = {name: unquote(value) for name, _, value in given if name in OURS}
        theirs = "&".join("".join(each) for each in given if each[0] not in OURS)
        conninfo = _joined(parts.netloc + parts.path, theirs)
        known = conninfo_to_dict(conninfo)
    except (ProgrammingError, ValueError):
        raise Invalid(f"a PostgreSQL URL that cannot be read; {_ENCODED}") from None
    ports = str(known.get("port", ""))
    if parts.fragment or "@" in parts.path + parts.query or not re.fullmatch(r"[\d,]*", ports):
        raise Invalid(f"a PostgreSQL URL whose port or database cannot be read; {_ENCODED}")
    schema, prepare = ours.get("schema", SCHEMA), ours.get("prepare", "on")
    check_name("schema", schema)
    if prepare not in ("on", "off"):
        raise Invalid(f"prepare is on or off, not {prepare!r:.60}")
    user, at, hosts = parts.netloc.rpartition("@")
    shown = "&".join("".join(each) for each in given if each[0] not in SECRETS)
    masked = _joined(user.partition(":")[0] + at + hosts + parts.path, shown)
    secrets = tuple(str(known[name]) for name in SECRETS if known.get(name))
    return Address(masked, conninfo, secrets, schema, prepare == "on")


def _joined(place: str, parameters: str) -> str:
    return f"postgresql://{place}{'?' if parameters else ''}{parameters}"


def _check_options(query: str, names: list[str]) -> None:
    known = [*OURS, *(each.keyword.decode() for each in Conninfo.get_defaults())]
    for name in names:  # with an @, or other characters, it may be a part of a password
        if name not in known and "@" not in query and re.fullmatch("[a-z_]+", name):
            raise Invalid(f"{name!r:.60} is no option of a PostgreSQL URL.{nearest(name, known)}")


_ENCODED = "write special characters of a user, password or database as %XX, such as %40 for @"


def check_name(kind: str, name: str) -> None:
    """A name that PostgreSQL takes as it is. Raises Invalid."""
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name) or name.startswith("pg_"):
        raise Invalid(
            f"{name!r:.80} cannot be the name of a {kind} in PostgreSQL; use lower case letters, digits and _"
        )
    if len(name) > LONGEST:
        raise Invalid(f"the name of the {kind} {name!r:.80} has {len(name)} letters, and PostgreSQL takes {LONGEST}")
