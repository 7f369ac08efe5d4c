"""A sample of all small faults that the core's Python could have, and how many of them our tests find.

    python tests/mutation/sample.py --mutants 100 --seed 1

The chosen faults (`faults.py`) are of the kind a hurried hand makes; these are nobody's choice. Each mutant is one node of
a file changed: a comparison, and for or, a sign, a number, a condition turned round, a statement or a result left out.
Asserts, which only tell the type checker something, text, and the numbers of our policies, which tests know by their
names, are let be. What survives is printed with its line: it is a
test that is missing, or a change that changes nothing, which then stands in SAME with its reason.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from random import Random

import attrs
from planting import FAILED, ROOT, copied, outcome_of

CORE = (
    "core/test_decide.py",
    "definition/test_expression.py",
    "core/test_properties.py",
    "engine/test_engine.py",
    "clutch/test_one_suspension.py",
)
DEEDS = (
    "engine/test_engine.py",
    "books/test_books.py",
    "clutch/test_one_suspension.py",
    "store/test_store_contract.py",
)
FILES = {
    "definition/expression.py": ("definition/test_expression.py", "core/test_decide.py", "definition/test_reader.py", "engine/test_engine.py"),
    "core/decide.py": CORE, "core/resolve.py": CORE, "engine/steps.py": DEEDS, "engine/calls/end_call.py": DEEDS, "engine/engine.py": DEEDS,
    "engine/queue/queue.py": DEEDS, "engine/queue/rows.py": DEEDS, "engine/calls/recovery.py": DEEDS, "engine/journal.py": DEEDS,
}  # fmt: skip

TURNED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}

LEAST = 0.95  # that have to be found

# Mutants that are no faults: what they change makes no difference, or only to speed.
SAME: dict[tuple[str, str], str] = {
    ("engine/queue/queue.py", "20"): "doubling ends at an hour long before the twentieth time",
    (
        "engine/calls/end_call.py",
        "any((step.partial for step in steps))",
    ): "if one step may be cut, the reader saw that each may",
}


@attrs.frozen
class Mutant:
    file: str
    line: int
    before: str
    after: str
    text: str = attrs.field(repr=False)  # of the whole file

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  {self.before}  →  {self.after}"


def mutants(file: str) -> Iterator[Mutant]:
    """Every mutant of a file, in its order."""
    tree = ast.parse((ROOT / "src" / "tallystick" / file).read_text(encoding="utf-8"))
    named = [each for each in tree.body if isinstance(each, ast.Assign)]
    spared = {node for each in [*named, *_asserts(tree)] for node in ast.walk(each)}
    for number, node in enumerate(ast.walk(tree)):
        for way in range(_ways(node) if node not in spared else 0):
            changed = deepcopy(tree)
            there = next(each for at, each in enumerate(ast.walk(changed)) if at == number)
            before = _shown(there)
            _change(there, way)
            yield Mutant(file, node.lineno, before, _shown(there), ast.unparse(changed))  # type: ignore[attr-defined]


def _asserts(tree: ast.AST) -> Iterator[ast.Assert]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Assert))


def _shown(node: ast.AST) -> str:
    return ast.unparse(node).splitlines()[0]


def _ways(node: ast.AST) -> int:
    """In how many ways a node can be changed."""
    match node:
        case ast.Compare():
            return len(node.ops)
        case ast.BoolOp() | ast.If() | ast.IfExp() | ast.While():
            return 1
        case ast.BinOp():
            return int(type(node.op) in TURNED)
        case ast.UnaryOp():
            return int(isinstance(node.op, ast.Not | ast.USub))
        case ast.Constant():
            return int(isinstance(node.value, int))
        case ast.Call():
            return int(isinstance(node.func, ast.Name) and node.func.id in NAMES)
        case ast.Return():
            return int(node.value is not None and not _is_none(node.value))
        case ast.Expr():
            return int(isinstance(node.value, ast.Call))
        case ast.Assign():
            return int(any(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets))
        case ast.AugAssign() | ast.Raise():
            return 1
    return 0


def _change(node: ast.AST, way: int) -> None:
    match node:
        case ast.Compare():
            node.ops[way] = TURNED[type(node.ops[way])]()  # type: ignore[call-overload]
        case ast.BoolOp() | ast.BinOp():
            node.op = TURNED[type(node.op)]()  # type: ignore[assignment]
        case ast.If() | ast.IfExp() | ast.While():
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.UnaryOp():
            node.op = ast.UAdd() if isinstance(node.op, ast.USub) else ast.Not()
            node.operand = node.operand if isinstance(node.op, ast.UAdd) else ast.UnaryOp(ast.Not(), node.operand)
        case ast.Constant():
            node.value = not node.value if isinstance(node.value, bool) else int(str(node.value)) + 1
        case ast.Call(func=ast.Name()):
            node.func.id = NAMES[node.func.id]  # type: ignore[attr-defined]
        case ast.Return():
            node.value = ast.Constant(None)
        case _:
            _leave_out(node)


def _leave_out(node: ast.AST) -> None:
    """Make a statement one that does nothing."""
    node.__class__ = ast.Pass  # type: ignore[assignment]
    for field in node._fields:
        delattr(node, field)


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def drawn(count: int, seed: int) -> list[Mutant]:
    everything = [each for file in FILES for each in mutants(file) if (each.file, each.before) not in SAME]
    return Random(seed).sample(everything, min(count, len(everything)))


class Nursery:
    """A copy of the package for each thread, to plant in."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._mine = folder, threading.local()

    def found(self, mutant: Mutant) -> bool:
        source = getattr(self._mine, "source", None)
        if source is None:
            source = self._mine.source = copied(Path(tempfile.mkdtemp(dir=self._folder)))
        file = source / "tallystick" / mutant.file
        sound = file.read_text(encoding="utf-8")
        file.write_text(mutant.text, encoding="utf-8")
        try:
            return outcome_of(source, FILES[mutant.file]).returncode >= FAILED  # one that cannot be imported, too
        except subprocess.TimeoutExpired:  # it goes round for ever: nobody would miss that
            return True
        finally:
            file.write_text(sound, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    sample, survived = drawn(given.mutants, given.seed), []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(given.jobs) as pool:
        for number, (mutant, found) in enumerate(
            zip(sample, pool.map(Nursery(Path(folder)).found, sample), strict=True)
        ):
            survived += [] if found else [str(mutant)]
            print(f"\r{number + 1} of {len(sample)}, {len(survived)} survived", end="", file=sys.stderr)
            if not found:
                print(f"\r{mutant}", file=sys.stderr)
    found = len(sample) - len(survived)
    figures = {"mutants": len(sample), "found": found, "found of a hundred": round(100 * found / len(sample), 1)}
    print(json.dumps({**figures, "survived": survived}) if given.json else f"\n{figures}")
    return 0 if found >= LEAST * len(sample) else 1


if __name__ == "__main__":
    raise SystemExit(main())
