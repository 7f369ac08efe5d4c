"""What a PostgreSQL URL may say, and that nobody sees its password."""

from __future__ import annotations

import pytest

from tallystick.errors import Invalid, StoreError
from tallystick.store.open import open_store
from tallystick.store.postgres.url import address

SECRET = "k4nd1nsky"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:k4nd1nsky@db/books", "postgresql://ann@db/books"),
        ("postgres://ann:k4nd1nsky@db/books", "postgresql://ann@db/books"),
        ("postgresql://ann:k4nd1nsky%40@db:5433/books", "postgresql://ann@db:5433/books"),
        ("postgresql://ann:a:k4nd1nsky@one:1,two:2/books", "postgresql://ann@one:1,two:2/books"),
        ("postgresql:///books?user=ann&password=k4nd1nsky", "postgresql:///books?user=ann"),
        ("postgresql:///books?sslpassword=k4nd1nsky&host=/run/pg", "postgresql:///books?host=/run/pg"),
        ("postgresql://db/books?schema=cards&prepare=off", "postgresql://db/books?schema=cards&prepare=off"),
        (
            "postgresql://one,two/b?target_session_attrs=read-write",
            "postgresql://one,two/b?target_session_attrs=read-write",
        ),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    store = open_store(url)
    assert store.url == shown
    assert SECRET not in repr(address(url)) + repr(vars(store))
    assert ("k4nd1nsky" in address(url).conninfo) == ("k4nd1nsky" in url), "libpq is told"


def test_libpq_is_told_what_is_its_own() -> None:
    found = address(
        "postgresql://one,two/books?schema=cards&target_session_attrs=read-write&prepare=off&options=-c%20a%3Db+c"
    )
    assert found.conninfo == "postgresql://one,two/books?target_session_attrs=read-write&options=-c%20a%3Db+c"
    assert (found.schema, found.prepare) == ("cards", False)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:k4nd1nsky/1@db/books",
        "postgresql://ann:k4nd1nsky#1@db/books",
        "postgresql://ann:k4nd1nsky?1@db/books",
        "postgresql://ann:12/k4nd1nsky@db/books",
        "postgresql://ann:12#k4nd1nsky@db/books",
        "postgresql://ann:12?k4nd1nsky@db/books",
        "postgresql://ann:k4nd1nsky%zz@db/books",
        "postgresql://ann:[k4nd1nsky@db/books",
        "postgresql://db/books?passwort=k4nd1nsky",
    ],
)
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(Invalid, match="PostgreSQL URL") as told:
        open_store(url)
    assert SECRET not in str(told.value)


@pytest.mark.parametrize("url", ["postgresql:///b?schema=" + "s" * 64, "postgresql:///b?schema=pg_mine",
                                 "postgresql:///b?schema=My%20Cards", 'postgresql:///b?schema=a"b', "postgresql:///b?schema="])  # fmt: skip
def test_a_schema_has_a_name_that_postgresql_takes_as_it_is(url: str) -> None:
    with pytest.raises(Invalid, match="schema"):
        open_store(url)


def test_statements_are_prepared_or_not() -> None:
    with pytest.raises(Invalid, match="prepare is on or off, not 'maybe'"):
        open_store("postgresql:///b?prepare=maybe")


def test_a_server_that_is_not_there_is_named_in_one_sentence() -> None:
    store = open_store(f"postgresql://ann:{SECRET}@127.0.0.1:1/books?connect_timeout=2")
    with pytest.raises(StoreError, match=r"postgresql://ann@127\.0\.0\.1:1/books.* cannot be reached") as told:
        store.load("anything")
    assert SECRET not in str(told.value)
    assert "\n" not in str(told.value)


def test_an_option_that_there_is_not_is_named() -> None:
    with pytest.raises(Invalid, match=r"'shema' is no option of a PostgreSQL URL. Did you mean 'schema'\?"):
        address("postgresql://db/books?shema=cards")
