"""A real browser on a real board: Debian's chromium, driven by playwright. Tests skip with a reason where it is missing.

Every page that is opened is watched: a message on the console, a failed request, or a request to anybody else is a
failure of the test that caused it. Pictures are kept in the folder that `BOARD_PICTURES` names, or in the test's own.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tallystick.board.board import Board
from tallystick.board.guard import Door
from tallystick.board.serve import address, listening, server

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
LEAST = 4.5  # contrast of text and its ground: WCAG AA


@contextmanager
def served(board: Board) -> Iterator[str]:
    """The address of a board that is served here, without its last slash."""
    bound = listening("127.0.0.1", 0)
    running = server(board, Door())
    thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield address(bound).rstrip("/")
    running.should_exit = True
    thread.join()


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser. Skips the test where it is missing."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("the browser is driven by playwright: pip install 'tallystick[browser]'")
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"] * (os.getuid() == 0))
        yield browser
        browser.close()


class Watched:
    """A page of the browser, and all that went wrong on it."""

    def __init__(self, browser: Any, base: str, folder: Path, **context: Any) -> None:
        self.base, self._folder = base, Path(os.environ.get("BOARD_PICTURES") or folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        self.page = self.context.new_page()
        self.wrong: list[str] = []
        self.page.on("console", lambda said: self.wrong.append(f"console: {said.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("requestfailed", lambda request: self._failed(request))
        self.page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith(f"{self.base}/"):
            self.wrong.append(f"foreign: {url}")

    def _failed(self, request: Any) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page was left before its icon had come
            self.wrong.append(f"failed: {request.url}")

    def go(self, path: str) -> Any:
        answer = self.page.goto(f"{self.base}{path}")
        assert self.wrong == [], (path, self.wrong)
        return answer

    def follow(self, link: str, **how: Any) -> None:
        """Click a link, and wait for the page that it opens."""
        with self.page.expect_navigation():
            self.page.click(link, **how)

    def picture(self, name: str, **more: Any) -> Path:
        file = self._folder / f"{name}.png"
        self.page.screenshot(path=file, full_page=True, **more)
        return file

    def close(self) -> None:
        self.context.close()
        assert self.wrong == []


# What a reader who does not see it, or who has no mouse, needs of a page; asked in the browser itself
CHECK = """() => {
  const wrong = [];
  const say = (what, at) => wrong.push(what + ': ' + (at ? at.outerHTML.slice(0, 120) : ''));
  const all = (css) => [...document.querySelectorAll(css)];
  if (document.documentElement.lang !== 'en') say('no language');
  if (!document.title) say('no title');
  for (const css of ['main', 'header', 'footer', 'h1', '.skip']) if (all(css).length !== 1) say('not one ' + css);
  const levels = all('h1,h2,h3,h4').filter((h) => !h.closest('nav')).map((h) => +h.tagName[1]);
  levels.forEach((level, at) => { if (at && level > levels[at - 1] + 1) say('a level is left out after heading ' + at); });
  for (const nav of all('nav')) if (!nav.getAttribute('aria-label')) say('a nav without a name', nav);
  for (const table of all('table')) {
    if (!table.caption || !table.caption.textContent.trim()) say('a table without a caption', table);
    for (const th of table.querySelectorAll('th')) if (!th.scope) say('a head without scope', th);
    const wide = table.tHead.rows[0].cells.length;
    for (const row of table.rows) if (row.cells.length !== wide) say('a row of another width', row);
    for (const th of table.tHead.rows[0].cells) if (!th.textContent.trim() && table.rows.length > 1) say('a head without a word', th);
  }
  for (const field of all('input:not([type=hidden]),select'))
    if (!field.labels.length || !field.labels[0].textContent.trim()) say('a field without a label', field);
  for (const link of all('a')) if (!(link.getAttribute('aria-label') || link.textContent).trim()) say('a link without words', link);
  for (const svg of all('svg')) {
    const named = svg.closest('[aria-label]') || svg.getAttribute('aria-hidden') === 'true';
    if (!named) say('a picture without words', svg);
  }
  const ids = all('[id]').map((each) => each.id);
  if (new Set(ids).size !== ids.length) say('an id twice: ' + ids);
  if (document.documentElement.scrollWidth > innerWidth + 1) say('the page is wider than its window');
  const lum = (rgb) => {
    const [r, g, b] = rgb.map((c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const parse = (text) => { const m = text.match(/[\\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null : m.slice(0, 3); };
  const ground = (el) => { for (; el; el = el.parentElement) { const c = parse(getComputedStyle(el).backgroundColor); if (c) return c; } return [255, 255, 255]; };
  for (const el of all('main *, header *, nav *, footer *')) {
    const own = [...el.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || el.closest('svg') || !el.getClientRects().length) continue;
    const text = lum(parse(getComputedStyle(el).color)), below = lum(ground(el));
    const contrast = (Math.max(text, below) + 0.05) / (Math.min(text, below) + 0.05);
    if (contrast < LEAST) say('contrast ' + contrast.toFixed(2), el);
  }
  return wrong;
}""".replace("LEAST", str(LEAST))


def unreadable(page: Any) -> list[str]:
    """What is wrong with a page for who does not see it, or uses a keyboard alone."""
    found: list[str] = page.evaluate(CHECK)
    return found
