"""Pictures of a machine, drawn from the definition that runs.

Keeps: nothing is drawn that cannot happen; the same machine and figures give the same picture, byte by byte; the usual
way is declared or counted, never guessed.

Read in this order: `drawing` (`draw`, the one way in), `model` (what a machine's page says, as a picture needs it),
`figures` (what a caller may add from a store), `sketch` (a picture before it has a format), `brief`, `neighbourhood`,
`overlay`, `life`, `change`, `grouped` and `several` (which make one), `text_width`, `layout` and `routing` (where
everything stands), then `formats/`, with a file for each.

Knows the definition and money. Figures arrive as values; no store is read here. The command line, the documentation and
the board ask for pictures.
"""

from tallystick.diagram.drawing import draw, draw_change
from tallystick.diagram.figures import Life, LifeStep, May, Overlay, Standing, Traffic
from tallystick.diagram.formats.svg import STYLE

__all__ = ["STYLE", "Life", "LifeStep", "May", "Overlay", "Standing", "Traffic", "draw", "draw_change"]
