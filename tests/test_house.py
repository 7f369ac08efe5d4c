"""The house itself: generated pages are fresh, the README's example runs, public names are listed, imports are light."""

from __future__ import annotations

import ast
import importlib
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import rooms
import tallystick
from tallystick.check.examples import check_examples

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md"]
PAGES += [*sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("README.md"))]


def python(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, check=False)


def test_generated_pages_are_fresh() -> None:
    done = python("docs/generate.py", "--check")
    assert done.returncode == 0, done.stderr


def test_the_readme_example_runs_and_says_what_it_promises(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 16
    done = python("-c", example, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "carries 50.00 BRL" in done.stdout
    assert "partially_settled 25.00 BRL" in done.stdout
    assert "available 10.00" in done.stdout
    (shown,) = re.findall(
        r"It prints:\n\n<!-- prints -->\n```text\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL
    )
    assert done.stdout.split()[1:] == shown.split()[1:]  # but for the card's number


def test_the_machine_in_the_docs_is_a_machine(tmp_path: Path) -> None:
    (page,) = re.findall(
        r"```yaml\n(.*?)```", (ROOT / "docs/reference/definition.md").read_text(encoding="utf-8"), re.DOTALL
    )
    (tmp_path / "locker.yaml").write_text(page, encoding="utf-8")
    machines = tallystick.load(tmp_path)
    machine = machines["locker"]
    assert check_examples(machines, ["locker"]) == ([], {"lives": 2, "steps": 5})
    assert all(
        ((state, command) in machine.table) != ((state, command) in machine.on_purpose)
        for state in machine.states
        for command in machine.commands
    )


def named(name: str) -> bool:
    """Whether a dotted name, such as `tallystick.errors.Invalid`, is something that can be imported."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        return all(hasattr(thing, part) and (thing := getattr(thing, part)) is not None for part in parts[count:])
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_or_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    paths = re.findall(r"`((?:\w+/)+\w+\.\w+)`", text)
    bases = [page.parent, ROOT, ROOT / "src/tallystick"]
    assert [path for path in paths if not any((base / path).exists() for base in bases)] == []
    names = re.findall(r"\btallystick(?:\.[a-zA-Z_]+)+", text.replace("tallystick.db", ""))
    assert [name for name in names if not named(name)] == []


def functions(file: str) -> dict[str, ast.AST]:
    """The functions, methods (`Class.method`) and classes of a file of the package, by name."""
    tree = ast.parse((ROOT / "src/tallystick" / file).read_text(encoding="utf-8"))
    found: dict[str, ast.AST] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}": each for each in node.body if isinstance(each, ast.FunctionDef)}
    return found


def names_in(node: ast.AST) -> set[str]:
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return names | {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}


def test_the_call_tree_in_the_docs_is_that_of_the_code() -> None:
    """Every line names a function, and its parent calls it: by its own name, or by the one that it has there (`as`)."""
    page = (ROOT / "docs/explanation/how-it-works.md").read_text(encoding="utf-8")
    (tree,) = re.findall(r"<!-- tree -->\n```text\n(.*?)```", page, re.DOTALL)
    way: list[tuple[int, str, ast.AST]] = []  # from the first line to this one
    for line in tree.splitlines():
        found = re.fullmatch(r"( *)(\S+\.py): ([\w.]+)(?: as (\w+))?(?: {2,}\S.*)?", line)
        assert found, line
        indent, file, name, called = len(found[1]), found[2], found[3], found[4]
        assert name in functions(file), line
        while way and way[-1][0] >= indent:
            way.pop()
        if way:
            assert (called or name.rpartition(".")[2]) in names_in(way[-1][2]), f"{way[-1][1]} does not call {line}"
        way.append((indent, line.strip(), functions(file)[name]))


def test_what_the_docs_say_is_somewhere_is_there() -> None:
    page = (ROOT / "docs/explanation/how-it-works.md").read_text(encoding="utf-8")
    places = re.findall(r"`(\w+/[\w/]+\.py)`: `([\w.]+)`", page)
    assert len(places) >= 8
    assert [place for place in places if place[1] not in functions(place[0])] == []


@pytest.mark.slow
def test_what_the_evidence_runs_is_there() -> None:
    """Each command exists and knows the options it is given; each file that is named is there."""
    evidence = runpy.run_path(str(ROOT / "docs/evidence.py"))
    commands = [command for run in evidence["RUNS"] for command in (run.ci, run.release) if command]
    options: dict[tuple[str, ...], set[str]] = {}
    for words in map(shlex.split, commands):
        assert [word for word in words if "/" in word and not (ROOT / word).exists()] == []
        count = next(at for at, word in enumerate(words) if word.startswith("-") and at > 0)
        options.setdefault(tuple(words[:count]), set()).update(word for word in words if word.startswith("--"))
    for command, given in options.items():
        done = python(*command, "--help")
        assert done.returncode == 0, (command, done.stderr)
        assert [option for option in given if option not in done.stdout] == [], command


def test_public_names_are_there_and_listed() -> None:
    assert sorted(tallystick.__all__, key=str.casefold) == sorted(set(tallystick.__all__), key=str.casefold)
    for name in tallystick.__all__:
        assert getattr(tallystick, name).__module__.startswith("tallystick")


def test_the_tests_have_the_rooms_of_the_code() -> None:
    """Whoever looks for the tests of a room goes to the folder of its name."""
    tests, package = ROOT / "tests", ROOT / "src/tallystick"
    holding = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    beside = {Path(), Path("examples"), Path("mutation"), Path("docs")}
    assert [str(room) for room in holding - beside if not (package / room).is_dir()] == []
    rooms_of_code = {path.parent.relative_to(package).parts[0] for path in package.glob("*/__init__.py")}
    assert rooms_of_code - {room.parts[0] for room in holding - beside} == set()


def test_no_two_files_of_tests_have_one_name() -> None:
    """pytest would take one for the other."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name not in ("__init__.py", "conftest.py")]
    assert [name for name in set(names) if names.count(name) > 1] == []


def test_importing_loads_nothing_heavy() -> None:
    heavy = ["transitions", "sqlite_utils", "ruamel", "click", "rich", "hypothesis", "httpcore2", "starlette"]
    done = python("-c", f"import sys, tallystick; print([m for m in {heavy!r} if m in sys.modules])")
    assert done.stdout.strip() == "[]"


def test_files_stay_short() -> None:
    long = {path.name: lines for path in SOURCES if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400}
    assert long == {}


def test_nothing_reads_a_clock_or_a_die_below_the_stores() -> None:
    package = ROOT / "src/tallystick"
    asks = {"reader.py", "files.py"}  # they read files
    rooms = [file for room in ("definition", "core") for file in sorted((package / room).glob("*.py"))]
    for file in [package / "masks.py", package / "errors.py", package / "money.py", *rooms]:
        if file.name in asks:
            continue
        text = file.read_text(encoding="utf-8")
        found = re.findall(
            r"^\s*(?:import|from) (time|datetime|random|secrets|uuid|os|io|socket|sqlite3)\b", text, re.MULTILINE
        )
        assert found == [], file
    kept = (package / "moment.py").read_text(encoding="utf-8")  # it reckons with moments that it is given
    assert re.findall(r"\b(?:now|utcnow|today|time)\(", kept) == []


# --- the rooms: how the files of the package stand together

PACKAGE = ROOT / "src/tallystick"
FOLDERS = sorted({path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE})
# What is not done yet. Whoever has done it takes it off this list; a test sees that nothing stands here longer.
WITHOUT_DOOR: set[str] = set()
CROWDED: set[str] = set()
IN_CIRCLES: set[str] = set()


def circles(imports: dict[str, set[str]]) -> set[str]:
    """The files from which a way of imports leads back to them, or that stand between two such files."""
    left = {name: set(imported) for name, imported in imports.items()}
    while ends := {name for name in left if not left[name] or not any(name in each for each in left.values())}:
        left = {name: imported - ends for name, imported in left.items() if name not in ends}
    return set(left)


def test_no_imports_of_files_make_a_circle() -> None:
    """Counted are imports anywhere in a file, those for types only too. A name from a package is its `__init__`'s."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == {"b", "c"}
    assert circles(rooms.imports()) == IN_CIRCLES


def test_the_package_has_rooms_and_few_files_beside_them() -> None:
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files == {"__init__.py", "__main__.py", "py.typed", "errors.py", "masks.py", "money.py", "moment.py"}
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__"} <= rooms.ROOMS.keys()


def test_no_folder_is_crowded() -> None:
    files = {folder: [path for path in folder.iterdir() if path.is_file()] for folder in [PACKAGE, *FOLDERS]}
    assert {str(each.relative_to(PACKAGE)) for each, inside in files.items() if len(inside) > 20} == CROWDED


def test_the_door_of_each_room_names_all_that_is_inside() -> None:
    """A door is the docstring of `__init__`: some lines that name every file and every inner room, as `name`."""
    missing = {}
    for folder in FOLDERS:
        door = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
        inside = {path.stem for path in folder.glob("*.py")} | {
            path.parent.name for path in folder.glob("*/__init__.py")
        }
        unnamed = [name for name in sorted(inside) if not name.startswith("__") and not re.search(f"`{name}/?`", door)]
        if unnamed or len(door.splitlines()) < 5:
            missing[str(folder.relative_to(PACKAGE))] = unnamed
    assert {room: missing[room] for room in missing.keys() - WITHOUT_DOOR} == {}
    assert missing.keys() >= WITHOUT_DOOR, "take what has a door now off WITHOUT_DOOR"
