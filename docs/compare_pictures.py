"""Draw every packaged machine with us and with three other libraries, for explanation/pictures.md.

    python docs/compare_pictures.py

It is run by hand before a release, and needs

    pip install 'tallystick[pictures]' pillow python-statemachine pydot graphviz 'xstate-statemachine>=0.11'

and on the system Graphviz (`dot`), Chromium and npm: XState's chart is drawn with Mermaid. The pictures are kept, so
the documentation needs none of this.
"""

from __future__ import annotations

import html
import io
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import resvg_py
from PIL import Image, ImageChops
from statemachine import State, StateMachine
from statemachine.contrib.diagram import DotGraphMachine
from transitions.extensions import GraphMachine
from xstate_statemachine import MachineLogic, create_machine

from tallystick import Machine
from tallystick.definition import reader
from tallystick.diagram import STYLE, draw

FOLDER = Path(__file__).parent / "explanation" / "pictures"
LIGHT, _, DARK = STYLE.partition("@media (prefers-color-scheme: dark) {\n")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        mermaid = Mermaid(Path(folder))
        for machine in reader.load(reader.packaged_folder()).values():
            ours(machine)
            keep(f"{machine.name}-transitions", by_transitions(machine))
            keep(f"{machine.name}-python-statemachine", by_python_statemachine(machine))
            keep(f"{machine.name}-xstate", mermaid.png(by_xstate(machine)))


def keep(name: str, png: bytes | Image.Image, wide: int = 1100) -> None:
    """Keep a picture, at most so wide, with few colours: it is for looking at."""
    image = (png if isinstance(png, Image.Image) else Image.open(io.BytesIO(png))).convert("RGB")
    if image.width > wide:
        image = image.resize((wide, round(image.height * wide / image.width)), Image.Resampling.LANCZOS)
    image.quantize(48).save(FOLDER / f"{name}.png", optimize=True)


# Ours: at 800 pixels, in grey and in the dark. At 100 % it is the SVG on the machine's page.


def ours(machine: Machine) -> None:
    svg = str(draw(machine))
    keep(f"{machine.name}-800", png_of(svg, 800))
    keep(f"{machine.name}-grey", Image.open(io.BytesIO(png_of(svg))).convert("L"))
    keep(f"{machine.name}-dark", png_of(svg.replace(STYLE, DARK.strip().removesuffix("}"))))


def png_of(svg: str, wide: int | None = None) -> bytes:
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=wide))


# Theirs: without guards, which would make them wider, as ours has none in brief either


def ways(machine: Machine) -> Iterator[tuple[str, str, str]]:
    """(command, source, target) of each transition, and of what happens when it is declined."""
    for each in machine.transitions.values():
        for source in each.sources:
            for command in each.commands:
                yield command, source, each.target or source
                if each.otherwise:
                    yield f"{command}_declined", source, each.otherwise


def by_transitions(machine: Machine) -> bytes:
    drawn = GraphMachine(
        states=[{"name": each.name, "final": each.final} for each in machine.states.values()],
        initial=machine.start,
        transitions=[
            {"trigger": command, "source": source, "dest": target}
            for command, source, target in dict.fromkeys(ways(machine))
        ],
        graph_engine="graphviz",
        auto_transitions=False,
        title=machine.name,
    )
    out = io.BytesIO()
    drawn.get_graph().draw(out, format="png", prog="dot")
    return out.getvalue()


def by_python_statemachine(machine: Machine) -> bytes:
    """Without what an end still takes, such as a refund: nothing may lead out of a final state there, or back to it."""
    states = {each.name: State(each.name, initial=each.start, final=each.final) for each in machine.states.values()}
    events: dict[str, object] = {}
    for command, source, target in dict.fromkeys(ways(machine)):
        if not machine.states[source].final:
            way = states[source].to(states[target], internal=source == target)
            events[command] = events[command] | way if command in events else way
    found = type(machine.name, (StateMachine,), {**{f"s_{name}": state for name, state in states.items()}, **events})
    graph: Any = DotGraphMachine  # it has types, but not here
    return bytes(graph(found)().create_png())


def by_xstate(machine: Machine) -> str:
    """XState's chart of it as Mermaid: XState itself draws only in its own editor."""
    logic: Any = MachineLogic(
        guards={name: lambda *_: True for name in machine.transitions}, actions={"move": lambda *_: None}
    )
    return str(create_machine(json.loads(str(draw(machine, format="xstate"))), logic=logic).to_mermaid())


class Mermaid:
    """Draws Mermaid in a browser, with the package from npm."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run(["npm", "install", "--silent", "mermaid@11"], cwd=folder, check=True, timeout=300)

    def png(self, text: str) -> Image.Image:
        page = self.folder / "page.html"
        page.write_text(
            '<body style="margin:8px;width:1600px"><script src="node_modules/mermaid/dist/mermaid.min.js"></script>'
            f'<pre class="mermaid">{html.escape(text)}</pre><script>mermaid.initialize({{startOnLoad: true}})</script>',
            encoding="utf-8",
        )
        shot = self.folder / "shot.png"
        subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
             "--virtual-time-budget=8000", "--window-size=1616,2400", f"--screenshot={shot}", page.as_uri()],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        image = Image.open(shot).convert("RGB")
        inside = ImageChops.difference(image, Image.new("RGB", image.size, "white")).getbbox()
        return image.crop(inside) if inside else image


if __name__ == "__main__":
    main()
