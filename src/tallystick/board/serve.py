"""The board is served, until somebody stops it."""

from __future__ import annotations

import socket

import uvicorn

from tallystick.board.app import application
from tallystick.board.board import Board
from tallystick.board.guard import Door
from tallystick.errors import Invalid

AT_ONCE = 32  # requests; who asks for more is told to wait


def listening(host: str, port: int) -> socket.socket:
    """A socket that is bound; port 0 takes any. Raises Invalid: it cannot be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise Invalid(f"the board cannot be served at {host}, port {port}: {error.strerror or error}") from None
    return bound


def address(bound: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def server(board: Board, door: Door) -> uvicorn.Server:
    """What serves the board. It writes no log of who has read what."""
    config = uvicorn.Config(
        application(board, door), access_log=False, log_level="warning", server_header=False, date_header=False,
        limit_concurrency=AT_ONCE, lifespan="off", ws="none", proxy_headers=False,
    )  # fmt: skip
    return uvicorn.Server(config)


def serve(board: Board, door: Door, bound: socket.socket) -> None:
    server(board, door).run(sockets=[bound])
