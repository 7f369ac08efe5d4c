"""The command that shows the books to people who type no commands: `board`."""

from __future__ import annotations

import json

import click

from tallystick.cli.options import json_option, store_option


@click.command()
@store_option
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Where to listen; others than this machine need a token."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8017, show_default=True, help="0 takes any that is free."
)
@click.option(
    "--token",
    envvar="TALLYSTICK_BOARD_TOKEN",
    show_envvar=True,
    help="What readers have to give as the password; better set it in the environment.",
)
@click.option(
    "--name", "names", metavar="HOST", multiple=True, help="A name by which browsers call it, such as a proxy's."
)
@click.option(
    "--export", "folder", metavar="FOLDER", type=click.Path(file_okay=False), help="Write it as files instead."
)
@click.option("--most", type=click.IntRange(1), default=2000, show_default=True, help="Pages that --export writes.")
@json_option
def board(
    url: str, host: str, port: int, token: str | None, names: tuple[str, ...], folder: str | None, most: int,
    json_out: bool,
) -> None:  # fmt: skip
    """Show the books in a browser, or write them as files with --export.

    Nothing can be changed there. It listens on this machine alone, until you stop it; others need a token, which they
    give as the password. What is shown needs no network: every picture and style comes from here.
    """
    from importlib.util import find_spec

    missing = [name for name in ("starlette", "uvicorn", "jinja2") if find_spec(name) is None]
    if missing:
        raise click.ClickException(f"the board needs {', '.join(missing)}: pip install 'tallystick[board]'")
    import tallystick
    from tallystick.board.board import Board

    with tallystick.open(url, read_only=True) as books:
        if folder is not None:
            from tallystick.board.export import export

            written = export(Board(books), folder, most)
            begin = f"{folder}/index.html"
            said = json.dumps({"folder": folder, "pages": written, "begin": begin})
            click.echo(said if json_out else f"{written} pages are in {folder}; begin with {begin}")
            return
        from tallystick.board.guard import Door
        from tallystick.board.serve import address, listening, serve

        door = Door(host, names, token)
        bound = listening(host, port)
        if json_out:  # for whoever starts it in a program, and has to know where it is
            click.echo(json.dumps({"url": address(bound), "store": books.engine.store.url}))
        else:
            click.echo(f"the board of {books.engine.store.url} is at {address(bound)}; stop it with Ctrl-C", err=True)
        serve(Board(books), door, bound)
