"""The pictures of docs/how-to/board.md: the board on the voucher orders, as a real browser shows it.

python docs/board_pictures.py        needs chromium, and pip install 'tallystick[browser]'
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from board_books import make
from tallystick.board.board import Board
from tallystick.board.guard import Door
from tallystick.board.serve import address, listening, server

FOLDER = Path(__file__).resolve().parent / "pictures"
PICTURES: dict[str, tuple[str, int, dict[str, Any]]] = {  # a page, how much of it is shown, and how
    "overview": ("/", 820, {}),
    "owed": ("/liability", 720, {}),
    "holds": ("/holds", 1060, {}),
    "life": ("/life?of=payment&id=mkt-9001%2F1", 1000, {}),
    "stuck": ("/stuck", 860, {}),
    "advanced-holds": ("/advanced-holds", 620, {}),
    "changed": ("/rollforward", 900, {}),
    "machine": ("/machine?name=payment", 900, {"color_scheme": "dark"}),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        here = os.getcwd()
        os.chdir(folder)
        books = make("sqlite:///vouchers.db")
        os.chdir(here)
        board = Board(books)
        board.url = "sqlite:///vouchers.db"
        bound = listening("127.0.0.1", 0)
        running = server(board, Door())
        threading.Thread(target=running.run, kwargs={"sockets": [bound]}, daemon=True).start()
        while not running.started:
            time.sleep(0.01)
        _take(address(bound).rstrip("/"))
        running.should_exit = True
        books.close()


def _take(base: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"] * (os.getuid() == 0)
        )
        for name, (path, height, more) in PICTURES.items():
            page = browser.new_page(viewport={"width": 1180, "height": height}, **more)
            page.goto(base + path)
            while "being counted" in page.title():
                time.sleep(1)
                page.reload()
            page.screenshot(path=FOLDER / f"board-{name}.png")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
