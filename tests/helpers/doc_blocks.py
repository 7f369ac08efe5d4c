"""The code blocks of a page, and how they are run: as a reader would, one after the other, in an empty folder.

| block | what is done |
|---|---|
| python | executed; blocks of a page share their names. `await` may stand at the top |
| console | each `$ command` is executed, and what it prints is compared with the lines below it, if there are any |
| sh | each line is executed and must end well, if no comment speaks of exit code 1 |
| sql | executed on `books.db` in the folder |
| yaml, json, toml | read; a page of a machine by the reader of pages |
| text, mermaid, a directive in braces | nothing: they are no code |

Whitespace does not count in what is printed, and `…` stands for anything. A comment above a block may say more:

    <!-- prints -->                 this is what the block before it prints
    <!-- run by tests/x.py -->      that test runs it
    <!-- not run: reason -->        nobody does, and the site shows the reason
    <!-- file: name -->             it is written into a file of that name

A comment `<!-- before: … -->` is Python that prepares what a reader has already (`ROOT` is the repository, `ENVIRONMENT` that of the sessions), and `<!-- slow -->` marks a page.
CommonMark is parsed by `markdown-it-py`, which is installed with `rich`; tools for code blocks (Sybil, pytest-examples)
know neither sessions of a command line nor why a block is not run.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path
from string import Template
from typing import Any
from unittest.mock import patch

import attrs
from click.testing import CliRunner
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

from tallystick.books.base import BaseBooks
from tallystick.cli.main import main
from tallystick.definition import reader

ROOT = Path(__file__).resolve().parents[2]
COMMENT = re.compile(r"<!--\s*(.*?)\s*-->", re.DOTALL)
MARK = re.compile(r"prints$|run by |not run: |file: |before:")
NOT_CODE = {"text", "mermaid", "markdown"}


@attrs.frozen
class Block:
    """One fence of a page, and the comment above it."""

    page: Path
    line: int  # from 1
    language: str
    text: str
    mark: str  # "" without

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def runs(self) -> bool:
        """Whether this page's test runs it."""
        return not (
            self.language in NOT_CODE or self.language.startswith("{") or self.mark.startswith(("not run", "run by"))
        )


def blocks(page: Path) -> list[Block]:
    """The blocks of a page in order. Code that is only indented has no language, and is none of them."""
    found, mark = [], ""
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "html_block":
            said = COMMENT.fullmatch(token.content.strip())
            mark = said[1] if said and MARK.match(said[1]) else ""
            if mark.startswith("before:"):
                found.append(Block(page, line, "python", inspect.cleandoc(mark.partition("\n")[2]), "before"))
                mark = ""
        elif token.type in ("fence", "code_block"):
            language = token.info.split()[0] if token.info.split() else ""
            found.append(Block(page, line, language if token.type == "fence" else "indented", token.content, mark))
            mark = ""
        elif not token.type.endswith("_close"):
            mark = ""
    return found


def is_slow(page: Path) -> bool:
    return "<!-- slow" in page.read_text(encoding="utf-8")


def commands(block: Block) -> list[tuple[str, str | None]]:
    """The commands of a block, each with what it should print; None: nobody says."""
    text = block.text.replace("\\\n", "")
    if block.language == "sh":
        return [(line, None) for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert not parts[0].strip(), f"{block}: a session begins with `$ command`"
    return [(line, rest if rest.strip() else None) for line, _, rest in (part.partition("\n") for part in parts[1:])]


def same(printed: str, expected: str) -> bool:
    """Whether this was printed, but for whitespace and for what `…` stands for."""
    expected = re.sub(r"…\w{4}\b", "…", expected).replace("─", "")  # a masked number; a rule of any length
    words = [re.escape("".join(part.split())) for part in expected.split("…")]
    return re.fullmatch(".*?".join(words), "".join(printed.replace("─", "").split()), re.DOTALL) is not None


class Reader:
    """Somebody who does what a page says, in a folder of his own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.names, self.printed = folder, {"__name__": "__main__", "ROOT": ROOT}, ""
        self.environment = {"COLUMNS": "100", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self.running: list[subprocess.Popen[str]] = []  # what a session has left running, with `&`
        self.names["ENVIRONMENT"] = self.environment  # of the sessions

    def run(self, block: Block) -> None:
        if block.mark == "prints":
            assert same(self.printed, block.text), f"{block} says\n{block.text}\nand this was printed:\n{self.printed}"
        if block.mark.startswith("file:"):
            file = self.folder / block.mark.removeprefix("file:").strip()
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
            if file.suffix == ".py":
                return
        if block.runs:
            getattr(self, f"_{block.language}", self._unknown)(block)

    def close(self) -> None:
        for thing in self.names.values():
            if isinstance(thing, BaseBooks):
                thing.close()
        for process in self.running:
            process.terminate()
            process.communicate(timeout=30)

    def _unknown(self, block: Block) -> None:
        raise AssertionError(f"{block}: nobody knows how to run a block of {block.language or 'no language'}")

    def _python(self, block: Block) -> None:
        text = "\n" * (block.line if block.mark != "before" else 0) + block.text
        code = compile(text, str(block.page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        printed = io.StringIO()
        ended = contextlib.suppress(StopIteration)  # what was prepared ends a loop that would go on for ever
        there = patch.dict(os.environ, self.environment)
        with there, contextlib.redirect_stdout(printed), contextlib.chdir(self.folder), ended:
            done: Any = eval(code, self.names)
            if inspect.iscoroutine(done):
                asyncio.run(done)
        self.printed = printed.getvalue()

    def _console(self, block: Block) -> None:
        for line, expected in commands(block):
            printed, code = self._command(line)
            if expected is None:
                assert code in ((0, 1) if "exit code 1" in line else (0,)), f"{block}: {line}: {code}: {printed}"
            else:
                assert same(printed, expected), f"{block}: {line} should print\n{expected}\nand printed:\n{printed}"
            self.printed = printed

    _sh = _console

    def _command(self, line: str) -> tuple[str, int]:
        words = shlex.split(line, comments=True)
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self.environment[name] = Template(value).safe_substitute(self.environment)
            return "", 0
        if words[0] == "tallystick" and not set(words) & {"|", ">", ">>", "<", "&&", "&", ";"}:
            with contextlib.chdir(self.folder):
                done = CliRunner().invoke(
                    main, [Template(word).safe_substitute(self.environment) for word in words[1:]], env=self.environment
                )
            return done.output, done.exit_code
        if words[-1] == "&":  # it says in a line that it is ready
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name(words[0])), *words[1:-1]], cwd=self.folder, stdout=subprocess.PIPE,
                env=os.environ | self.environment, text=True,
            )  # fmt: skip
            self.running.append(process)
            return process.stdout.readline() if process.stdout else "", 0
        shell = subprocess.run(["bash", "-c", line], cwd=self.folder, env=os.environ | self.environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False)  # fmt: skip
        return shell.stdout, shell.returncode

    def _sql(self, block: Block) -> None:
        with contextlib.closing(sqlite3.connect(f"file:{self.folder}/books.db?mode=ro", uri=True)) as connection:
            for statement in filter(str.strip, block.text.split(";")):
                rows = connection.execute(statement).fetchall()
        self.printed = "\n".join("|".join(map(str, row)) for row in rows)

    def _yaml(self, block: Block) -> None:
        if block.text.startswith("machine:"):
            packaged = {f"{name}.yaml": machine.text for name, machine in reader.load().items()}
            reader.read({**packaged, "page.yaml": block.text})
        else:
            YAML(typ="safe").load(block.text)

    def _json(self, block: Block) -> None:
        for text in [block.text] if block.text.lstrip().startswith("[") else filter(str.strip, block.text.splitlines()):
            json.loads(text)

    _jsonl = _json

    def _toml(self, block: Block) -> None:
        tomllib.loads(block.text)
