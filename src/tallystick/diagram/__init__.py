"""Pictures of a machine, drawn from the definition that runs.

Keeps: nothing is drawn that cannot happen.

Read in this order: `model` (what a picture shows, whatever its format), then one file for each format: `mermaid`,
`dot`, `table`.

Knows the definition only. The command line and `docs/generate.py` ask for pictures."""
