"""The board as files: the same pages, which open from a folder without a server.

Pages are written as they are linked, breadth first from the overview: so what matters most comes first, and with a
million cards a folder has as many pages as somebody has asked for. A link to a page that is not written is plain text.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import deque
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from tallystick.board.board import Board
from tallystick.board.page import Target
from tallystick.board.render import Frame, html
from tallystick.board.static_files import FILES, text_of
from tallystick.errors import Invalid

FIRST = Target("overview")
MARK = "written-by-tallystick-board.txt"
MOST = 2000  # pages, where nobody says otherwise
_LEFT_OUT = ("search",)  # what cannot be asked of a file


def export(board: Board, folder: str | os.PathLike[str], most: int = MOST) -> int:
    """Write the pages into a folder that is empty, new, or was written so before; how many were written.

    Raises:
        Invalid: something else is in the folder.   StoreError: the books cannot be read.
    """
    at = Path(folder)
    at.mkdir(parents=True, exist_ok=True)
    if any(at.iterdir()) and not (at / MARK).exists():
        raise Invalid(f"{at} has something in it that is not the board's: name an empty folder, or a new one")
    (at / MARK).write_text("This folder was written by `tallystick board --export`, which writes it anew.\n")
    for name in FILES:
        _put(at, f"static/{name}", text_of(name))
    waiting, known, written = deque([FIRST]), {FIRST}, 0

    def page_of(to: Target) -> str | None:
        if to.page in _LEFT_OUT:
            return None
        if to not in known:
            if len(known) >= most:
                return None
            known.add(to)
            waiting.append(to)
        return file_of(to)

    while waiting:
        to = waiting.popleft()
        page = board.page(to.page, dict(to.asked))
        here = file_of(to)
        up = "../" * (len(PurePosixPath(here).parts) - 1)

        def href(target: Target, up: str = up) -> str | None:
            found = page_of(target)
            return None if found is None else up + quote(found)

        _put(at, here, html(page, Frame(board.url, page.made or board.now, as_file=True, root=up), href))
        written += 1
    return written


def file_of(to: Target) -> str:
    """The name of a page's file. It never depends on what an id looks like: only letters, digits and a hash."""
    if to == FIRST:
        return "index.html"
    if not to.asked:
        return f"{_plain(to.page)}.html"
    said = "-".join(_plain(value)[:24] for _, value in to.asked if _plain(value))
    trace = hashlib.sha256(repr(to.asked).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{_plain(to.page)}/{said}-{trace}.html"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def _put(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8", errors="replace")
