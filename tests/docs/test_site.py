"""The site: it builds without a warning, everything public is on it, and PyPI shows what the README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from readme_renderer import markdown

import error_table
import tallystick
from doc_blocks import ROOT, Reader, blocks

DOCS = ROOT / "docs"
RAW = "https://raw.githubusercontent.com/tallystick/tallystick/main/"
REPOSITORY = "https://github.com/tallystick/tallystick/blob/main/"


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="the site needs pip install 'tallystick[docs]'")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        str(DOCS),
        str(tmp_path / "site"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for page in DOCS.rglob("*.md"):
        html = (tmp_path / "site" / page.relative_to(DOCS)).with_suffix(".html")
        assert html.exists(), page
        assert not re.search(
            r'(?:src|href)="https?://(?!github\.com/tallystick)[^"]*\.(?:js|css|woff2?)"', html.read_text("utf-8")
        )


def test_every_public_name_is_on_the_page_of_python() -> None:
    page = (DOCS / "reference/python.md").read_text(encoding="utf-8")
    named = re.findall(r"^\.\. auto(?:class|exception|function):: tallystick\.(\w+)$", page, re.MULTILINE)
    assert sorted(named) == sorted(set(tallystick.__all__) - {"Answered"})


def test_the_page_of_errors_answers_each_of_them_as_the_error_says(tmp_path: Path) -> None:
    (block,) = [each for each in blocks(DOCS / "how-to/errors.md") if each.language == "python"]
    reader = Reader(tmp_path)
    reader.run(block)
    kinds = error_table.errors()
    assert len(kinds) >= 19
    page = (DOCS / "how-to/errors.md").read_text(encoding="utf-8")
    for kind in kinds:
        error = kind.__new__(kind)
        assert reader.names["answered"](error)[0] == error_table.status(kind), kind
        assert f"| `{kind.__name__}` | {error_table.status(kind)} | " in page
        assert all(error_table.parts(kind)), kind


@pytest.fixture(scope="module")
def shown() -> str:
    """The README as PyPI gets it."""
    done = subprocess.run(
        [sys.executable, "-m", "hatch_fancy_pypi_readme"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_pypi_shows_the_readme_and_its_links_lead_to_files_of_ours(shown: str) -> None:
    html = markdown.render(shown)
    assert html is not None
    assert "<h1" in html
    assert "mermaid" not in shown
    links = re.findall(r'(?:href|src)="([^"#]+)"', html)
    assert len(links) >= 20
    for link in links:
        assert link.startswith((REPOSITORY, RAW)), link
        assert (ROOT / link.removeprefix(REPOSITORY).removeprefix(RAW)).exists(), link


def test_the_projects_links_lead_to_files_of_ours() -> None:
    import tomllib

    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert {"Homepage", "Documentation", "Changelog", "Issues"} <= urls.keys()
    for url in urls.values():
        assert url.startswith(REPOSITORY.removesuffix("/blob/main/"))
        if url.startswith(REPOSITORY):
            assert (ROOT / url.removeprefix(REPOSITORY)).exists(), url
