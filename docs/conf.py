"""The site: `just site` builds it from the pages in this folder, which can be read without it as well.

A page links to files of the repository by their relative paths, as everybody reads them there; on the site such a link
goes to the repository. A mark such as `<!-- not run: … -->` above a code block is shown below it. Sphinx fails on every
warning, so a link that leads nowhere and a name of ours that is not there cannot stay.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.pycode import parser

import tallystick

HERE = Path(__file__).resolve().parent
REPOSITORY = "https://github.com/tallystick/tallystick/blob/main/"

project = "tallystick"
author = "the tallystick authors"
project_copyright = author  # no year: the same sources give the same pages
release = version = tallystick.__version__
html_title = f"tallystick {release}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_block"]
suppress_warnings = ["toc.empty_glob"]  # a folder may have no page beside those that are named

smartquotes = False  # --store is no –store
default_role = "code"  # docstrings say `name`
parser.comment_re = re.compile(r"^\s*#:? ?(.*)\r?\n?$")  # a field's comment is its documentation
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
add_module_names = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 88

nitpicky = True  # for our own public names; what other libraries have is theirs
nitpick_ignore_regex = [("py:.*", r"(?!tallystick\.).*"), ("py:.*", r"tallystick\.[a-z_]+\..*")]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = html_show_sphinx = html_copy_source = False
html_theme_options = {
    "source_repository": "https://github.com/tallystick/tallystick/",
    "source_branch": "main",
    "source_directory": "docs/",
}


def _for_the_site(app: Any, page: str, source: list[str]) -> None:
    """Links that leave this folder go to the repository; reasons why a block is not run can be read."""
    folder = (HERE / page).parent

    def link(found: re.Match[str]) -> str:
        path = os.path.relpath((folder / found[1]).resolve(), HERE.parent)
        return found[0] if path.startswith("docs/") else f"]({REPOSITORY}{path}{found[2]})"

    text = re.sub(r"\]\((?![a-z]+:)([^)#\s]+)([^)\s]*)\)", link, source[0])
    text = re.sub(r"(?<!It prints:\n\n)<!-- prints -->\n", "It prints:\n\n", text)
    source[0] = re.sub(r"^<!-- not run: (.*?) -->\n(```.*?^```\n)", r"\2\n*Not run by our tests: \1*\n",
                       text, flags=re.DOTALL | re.MULTILINE)  # fmt: skip


def _public(app: Any, environment: Any, node: Any, content: Any) -> Any:
    """An annotation names a class by its module; the page of the API has it by its public name."""
    name = node["reftarget"].rpartition(".")[2]
    if name not in tallystick.__all__ or node["reftarget"] == f"tallystick.{name}":
        return None
    domain = environment.get_domain("py")
    return domain.resolve_xref(environment, node["refdoc"], app.builder, "obj", f"tallystick.{name}", node, content)


def _dashes(app: Any, doctree: nodes.document, page: str) -> None:
    """Between an argument and what it is. Dashes are not made everywhere, because options have two of them."""
    for text in list(doctree.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" – "))


def setup(app: Any) -> None:
    app.connect("doctree-resolved", _dashes)
    app.connect("source-read", _for_the_site)
    app.connect("missing-reference", _public)
