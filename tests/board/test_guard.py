"""Who may read the board, and what every answer says to a browser."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from board_world import board, fill, get
from tallystick.board.board import Board
from tallystick.board.guard import Door
from tallystick.errors import Invalid

TOKEN = "a-token-of-this-test"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    url = f"sqlite:///{tmp_path_factory.mktemp('guard')}/books.db"
    fill(url, odd=False)
    found = board(url)
    yield found
    found.books.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8017", "localhost", "LOCALHOST:1", "[::1]:8017", "[::1]"])
def test_it_is_known_under_the_names_of_this_machine(ours: Board, host: str) -> None:
    assert get(ours, headers={"host": host}).status == 200


@pytest.mark.parametrize("host", [
    "evil.example", "evil.example:8017", "127.0.0.1.evil.example", "127.0.0.2", "localhost.evil.example", "",
    "evil.example/127.0.0.1", "127.0.0.1@evil.example",
])  # fmt: skip
def test_another_name_is_not_answered_so_that_no_page_of_others_can_read_it(ours: Board, host: str) -> None:
    answer = get(ours, headers={"host": host})
    assert (answer.status, answer.text) == (421, "This board is not known under this name.\n")


def test_two_names_or_none_are_not_answered(ours: Board) -> None:
    assert get(ours, headers=[("host", "localhost"), ("host", "evil.example")]).status == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", ""])
def test_it_can_only_be_read(ours: Board, method: str) -> None:
    answer = get(ours, method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_head_says_what_get_would(ours: Board) -> None:
    assert get(ours, method="HEAD").headers["content-length"] == get(ours).headers["content-length"]


@pytest.mark.parametrize("path", ["/", "/stuck", "/none", "/static/board.css", "/static/none", "/life"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_answer_has_the_headers(ours: Board, path: str, method: str) -> None:
    answer = get(ours, path, method=method)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "script-src" not in policy, "what is not named has no source at all"
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "set-cookie" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", [
    "/none", "/../../etc/passwd", "/static/../app.py", "/static/..%2fapp.py", "/static/", "/static/board.css/", "//", "/a/b",
    "/life/", "/<script>",
])  # fmt: skip
def test_what_is_not_there_is_answered_always_alike(ours: Board, path: str) -> None:
    answer, other = get(ours, path), get(ours, "/none-at-all")
    assert answer.status == other.status == 404
    assert _but_for_the_time(answer.text) == _but_for_the_time(other.text)


def test_so_is_what_does_not_exist_in_the_books(ours: Board) -> None:
    other = _but_for_the_time(get(ours, "/none").text)
    for path, asked in (
        ("/life", {"of": "payment", "id": "none"}), ("/life", {"of": "none", "id": "o-1/1"}), ("/life", {}),
        ("/life", {"of": "payment", "id": "x" * 300}), ("/state", {"of": "payment", "state": "none"}),
        ("/machine", {"name": "../payment"}), ("/rows", {"report": "none"}), ("/rows", {"report": "liability", "by": "x"}),
        ("/liability", {"by": "number"}), ("/liability", {"as_of": "tomorrow"}), ("/rollforward", {"start": "x"}),
        ("/day", {"day": "x"}), ("/life", {"of": "payment", "id": "o-1/1", "after": "x"}),
        ("/life", {"of": "payment", "id": "…0281~abcdef"}), ("/rollforward", {"start": "2026-02-01", "end": "2026-01-01"}),
    ):  # fmt: skip
        answer = get(ours, path, **asked)
        assert (answer.status, _but_for_the_time(answer.text)) == (404, other), (path, asked)


def _but_for_the_time(text: str) -> str:
    return text.partition("<footer>")[0]


def test_a_long_address_is_not_read(ours: Board) -> None:
    assert get(ours, "/search", q="x" * 5000).status == 404


# Others than this machine


@pytest.mark.parametrize("door", [
    {"host": "0.0.0.0"}, {"host": "10.0.0.7"}, {"host": "board.example"}, {"host": "::"}, {"names": ["board.example"]},
    {"host": "0.0.0.0", "token": "short"}, {"host": "0.0.0.0", "token": ""}, {"host": "0.0.0.0", "token": "ü" * 20},
])  # fmt: skip
def test_others_need_a_token_that_cannot_be_guessed(door: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        Door(**door)  # type: ignore[arg-type]


def test_the_token_is_the_password_and_nothing_else_lets_in(ours: Board) -> None:
    door = Door("0.0.0.0", token=TOKEN)
    assert TOKEN not in repr(door)
    here = {"host": "10.0.0.7:8017"}
    for given in (None, "", "Basic", "Basic %%%", f"Basic {_basic('x', TOKEN + 'x')}", f"Basic {_basic(TOKEN, '')}",
                  "Bearer none", f"Digest {TOKEN}", TOKEN, f"Basic {_basic('x', '')}", "Bearer "):  # fmt: skip
        answer = get(ours, door=door, headers=here if given is None else {**here, "authorization": given})
        assert (answer.status, answer.text) == (401, "The board asks for its token, as the password.\n")
        assert answer.headers["www-authenticate"].startswith("Basic ")
    for given in (f"Basic {_basic('anybody', TOKEN)}", f"basic {_basic('', TOKEN)}", f"Bearer {TOKEN}"):
        assert get(ours, door=door, headers={**here, "authorization": given}).status == 200


def test_names_that_are_given_are_the_only_ones(ours: Board) -> None:
    door = Door("0.0.0.0", ["board.example"], TOKEN)
    key = {"authorization": f"Bearer {TOKEN}"}
    assert get(ours, door=door, headers={**key, "host": "Board.Example:443"}).status == 200
    assert get(ours, door=door, headers={**key, "host": "evil.example"}).status == 421


def _basic(name: str, password: str) -> str:
    return base64.b64encode(f"{name}:{password}".encode()).decode()
