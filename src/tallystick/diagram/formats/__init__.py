"""How a picture is written: one file for each format. None of them asks the machine again; they write what they get.

Keeps: everything that has a meaning has two signs, so that it reads in grey; title and legend are in every format.

`svg` (without a program of the system; `legend` stands below each picture, `chart` and `sequence` below that of a life;
`signs` are what they share), `png` (the SVG, by
resvg), `mermaid`, `dot`, `table` (Markdown), and `statechart` (SCXML and XState, for other tools).

Only `drawing` calls them.
"""
