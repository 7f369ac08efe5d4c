"""The board over HTTP: an address for each page, and the styles."""

from __future__ import annotations

import logging
from urllib.parse import quote, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tallystick.board.board import FAULT, NOWHERE, Board
from tallystick.board.guard import Door, Guard
from tallystick.board.page import Page, Target
from tallystick.board.render import Frame, html
from tallystick.board.static_files import FILES, text_of

FIRST = "overview"
log = logging.getLogger("tallystick.board")


def application(board: Board, door: Door) -> Guard:
    """The board as an ASGI application."""

    def serve(request: Request) -> Response:
        name = request.path_params.get("page", FIRST)
        try:
            found = board.soon(name, dict(request.query_params))
        except Exception as error:  # whoever reads is told nothing of it
            log.error("%s cannot be made: %s", name[:40], type(error).__name__, exc_info=True)
            found = FAULT
        return _response(found)

    def nowhere(request: Request, error: Exception) -> Response:
        return _response(NOWHERE)

    def _response(page: Page) -> Response:
        if page.moved is not None:
            return RedirectResponse(href(page.moved), 302)
        text = html(page, Frame(board.url, page.made or board.now), href)
        return HTMLResponse(text, page.status)

    def static(request: Request) -> Response:
        name = request.path_params["name"]
        return Response(text_of(name), media_type=FILES[name]) if name in FILES else _response(NOWHERE)

    routes = [
        Route("/static/{name:str}", static, methods=["GET"]),
        Route("/", serve, methods=["GET"]),
        Route("/{page:str}", serve, methods=["GET"]),
    ]
    app = Starlette(routes=routes, exception_handlers={404: nowhere, 405: nowhere})
    app.router.redirect_slashes = False
    return Guard(app, door)


def href(to: Target) -> str:
    """The address of a page."""
    path = "/" if to.page == FIRST else f"/{quote(to.page, safe='')}"
    return f"{path}?{urlencode(to.asked)}" if to.asked else path
