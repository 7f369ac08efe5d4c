"""The public names: type checkers see them and no others, help and completion list them, and each says what it is."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

import tallystick
import tallystick.books

TYPO = """\
import tallystick
from tallystick import Refusd

tallystick.Refusd
tallystick.open("memory:").cancle("p", key="k")
tallystick.open("memory:").reload("c", 50, key="k")


async def typo(books: tallystick.AsyncBooks) -> None:
    await books.cancle("p", key="k")
    await books.reload("c", 50, key="k")
    books.card("c").available
"""
WELL = """\
import tallystick
from tallystick import Books, Entry, Money, NotFound, Receipt, Refused


def pay(books: Books) -> Receipt | None:
    try:
        return books.authorize("p", "c", "40.00", order="o", key="k", allow_partial=True)
    except Refused as refused:
        print(refused.receipt.refusal)
    except NotFound as gone:
        print(gone.kind, gone.id, gone.near)
    return None


with tallystick.open("memory:") as books:
    paid = pay(books)
    if paid is not None:
        held: Money = paid.after["held"]
        cents: int = paid.after_minor["held"]
    life: list[Entry] = books.history("payment", "p")


async def serve() -> None:
    async with tallystick.aopen("memory:", threads=4) as books:
        receipt = await books.authorize("p", "c", "40.00", order="o", key="k", allow_partial=True)
        held: Money = receipt.after["held"]
        again: Receipt = await books.queue.retry("k", by="ann", reason="so")
        life: list[Entry] = await books.history("payment", again.id)
        allowed: bool = (await books.would(lambda books: books.cancel("p", key="c"))).allowed
        print(held, life, allowed)
"""


def mypy(folder: Path, name: str, text: str) -> str:
    """What mypy --strict says of a user's file."""
    (folder / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache"), name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_a_type_checker_sees_the_public_names_and_no_others(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    assert "Success" in mypy(tmp_path, "well.py", WELL)
    said = mypy(tmp_path, "typo.py", TYPO)
    assert 'typo.py:2: error: Module "tallystick" has no attribute "Refusd"' in said
    assert 'typo.py:4: error: Module has no attribute "Refusd"' in said
    assert 'typo.py:5: error: "Books" has no attribute "cancle"' in said
    assert 'typo.py:6: error: Argument 2 to "reload" of "Selling"' in said
    assert 'typo.py:10: error: "AsyncBooks" has no attribute "cancle"' in said
    assert "typo.py:11: error: Argument 2" in said
    assert 'typo.py:12: error: "Coroutine[Any, Any, Card]" has no attribute "available"' in said
    assert "Found 7 errors" in said


def test_help_and_completion_show_the_public_names_and_no_others() -> None:
    assert dir(tallystick) == sorted(tallystick.__all__)
    with tallystick.open("memory:") as books:
        assert not [name for name in dir(books) if name.startswith("_")]
        assert {"authorize", "settle", "history", "engine"} <= set(dir(books))
        for name in dir(books):
            getattr(books, name)


# Every public name is documented


class Source:
    """The source of a class: what is documented in it, by a docstring, a comment behind it, or the class's docstring."""

    def __init__(self, of: type) -> None:
        lines, _ = inspect.getsourcelines(of)
        text = inspect.cleandoc("\n" + "".join(lines)) if lines[0][0] == " " else "".join(lines)
        self.lines = text.splitlines()
        (node,) = ast.parse(text).body
        assert isinstance(node, ast.ClassDef)
        self.of, self.node, self.doc = of, node, ast.get_docstring(node) or ""

    def undocumented(self) -> Iterator[str]:
        if not self.doc:
            yield ""
        for node in self.node.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if node.name == "__init__":
                    yield from self._assigned(node)
                elif not (node.name.startswith("_") or ast.get_docstring(node)
                          or inspect.getdoc(getattr(self.of, node.name))):  # fmt: skip
                    yield node.name
            elif isinstance(node, ast.AnnAssign | ast.Assign):
                targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
                names = [each.id for each in targets if isinstance(each, ast.Name)]
                yield from (name for name in names if not self._says(name, node))

    def _assigned(self, init: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
        declared = {each.target.id for each in self.node.body
                    if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)}  # fmt: skip
        for node in ast.walk(init):
            if (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
                    and node.attr not in declared and not self._says(node.attr, node)):  # fmt: skip
                yield node.attr

    def _says(self, name: str, node: ast.stmt | ast.expr) -> bool:
        verb = getattr(self.of, name, None)  # of another class, with the docstring that it has there
        if inspect.isroutine(verb) and inspect.getdoc(verb):
            return True
        if name.startswith("_") or f"`{name}`" in self.doc or re.search(rf"(?m)^\s*{name}: ", self.doc):
            return True
        lines = self.lines[node.lineno - 1 : node.end_lineno]
        return any(re.search(r"#(?! (noqa|fmt|type):) ", line) for line in lines)


def classes() -> list[type]:
    """The public classes, those of the books, and those of ours they are made from."""
    rooms = [import_module(f"tallystick.books.{each.name}") for each in iter_modules(tallystick.books.__path__)]
    public = [getattr(tallystick, name) for name in tallystick.__all__]
    public += [each for room in rooms for name, each in vars(room).items()
               if not name.startswith("_") and getattr(each, "__module__", "") == room.__name__]  # fmt: skip
    found = [base for each in public if isinstance(each, type) for base in each.__mro__]
    return [each for each in dict.fromkeys(found) if each.__module__.startswith("tallystick")]


@pytest.mark.parametrize("of", classes(), ids=lambda of: of.__name__)
def test_every_public_attribute_is_documented(of: type) -> None:
    assert list(Source(of).undocumented()) == []


def test_every_public_function_is_documented() -> None:
    for name in tallystick.__all__:
        each = getattr(tallystick, name)
        assert each.__doc__, name


def test_what_is_not_documented_is_found() -> None:
    class Bare:
        said = 1  # a comment
        bare = 2

        def __init__(self) -> None:
            self.engine = 3

        def do(self) -> None: ...

    assert list(Source(Bare).undocumented()) == ["", "bare", "engine", "do"]
