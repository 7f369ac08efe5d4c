"""The board as files: they open from a folder, lead only to each other, and stand nowhere else."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import CliRunner

from board_world import NUMBER, ODD, board, fill
from tallystick.board.export import MARK, export
from tallystick.cli.main import main
from tallystick.errors import Invalid

LINK = re.compile(r'(?:href|src)="([^"]*)"')


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('export')}/books.db"
    fill(url)
    return url


def test_every_link_leads_to_a_file_of_the_folder(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "board"
    ours = board(url)
    written = export(ours, folder)
    pages = sorted(folder.rglob("*.html"))
    assert len(pages) == written > 60
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert NUMBER not in text
        assert "<form" not in text, "nothing can be asked of a file"
        for link in map(unescape, LINK.findall(text)):
            if link.startswith("#"):
                continue
            led = (page.parent / unquote(link)).resolve()
            assert led.is_file(), (page, link)
            assert folder.resolve() in led.parents
    assert {each.suffix for each in folder.rglob("*") if each.is_file()} == {".html", ".css", ".svg", ".txt"}
    assert {each.name for each in tmp_path.iterdir()} == {"board"}
    ours.books.close()


@pytest.mark.slow
def test_each_entity_has_its_page_whatever_its_name(url: str, tmp_path: Path) -> None:
    ours = board(url)
    export(ours, tmp_path / "board")
    lives = [unescape(each.read_text(encoding="utf-8")) for each in (tmp_path / "board" / "life").iterdir()]
    for name in ODD:
        assert sum(f"<h1>payment {name}</h1>" in text for text in lives) == 1, name
    ours.books.close()


def test_no_more_pages_are_written_than_were_asked_for(url: str, tmp_path: Path) -> None:
    ours = board(url)
    assert export(ours, tmp_path / "board", most=20) == 20
    for page in (tmp_path / "board").rglob("*.html"):
        for link in map(unescape, LINK.findall(page.read_text(encoding="utf-8"))):
            assert link.startswith("#") or (page.parent / unquote(link)).is_file()
    ours.books.close()


def test_it_is_written_again_into_its_own_folder_and_into_no_other(url: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    ours = board(url)
    with pytest.raises(Invalid, match="something in it that is not the board's"):
        export(ours, tmp_path / "mine")
    assert export(ours, tmp_path / "board", most=30) == export(ours, tmp_path / "board", most=30)
    assert (tmp_path / "board" / MARK).is_file()
    ours.books.close()


def test_the_command_writes_it_and_makes_no_books(url: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["board", "--store", url, "--export", str(tmp_path / "board"), "--most", "25"])
    assert (done.exit_code, "25 pages are in" in done.output) == (0, True), done.output
    done = CliRunner().invoke(
        main, ["board", "--store", url, "--export", str(tmp_path / "again"), "--most", "25", "--json"]
    )
    assert json.loads(done.output) == {
        "folder": str(tmp_path / "again"), "pages": 25, "begin": str(tmp_path / "again" / "index.html"),
    }  # fmt: skip
    done = CliRunner().invoke(
        main, ["board", "--store", f"sqlite:///{tmp_path}/none.db", "--export", str(tmp_path / "x")]
    )
    assert done.exit_code == 1
    assert "no books were made there" in done.output
    assert not (tmp_path / "none.db").exists()
    assert not (tmp_path / "x").exists()
    done = CliRunner().invoke(main, ["board", "--store", url, "--host", "0.0.0.0"])
    assert (done.exit_code, "give a token" in done.output) == (1, True)
