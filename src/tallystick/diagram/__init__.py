"""Pictures of a machine, drawn from the declaration that runs: a neutral model, and an emitter for each format."""

from tallystick.diagram.dot import to_dot
from tallystick.diagram.mermaid import to_mermaid
from tallystick.diagram.model import Arrow, Call, Diagram, Line, Node, Step, draw
from tallystick.diagram.table import to_table

__all__ = ["Arrow", "Call", "Diagram", "Line", "Node", "Step", "draw", "to_dot", "to_mermaid", "to_table"]
