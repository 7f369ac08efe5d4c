"""The commands, one file for each section of `tallystick --help`.

Read in this order: `starting` (demo, init, key), `running` (run, due, recover, resolve), `bulk` (sell, import),
`looking` (show, may, history, verify), `feed` (tail), `fleet` (worker), `figures` (report, export, datasette), `board`,
`waiting` (stuck, waiting, holds, expiring), `provider` (balance, reconcile, adopt, sandbox) with `checkout`, `machines`
(machines, diagram, schema), `checking` (check, diff) with `explaining` and `migrating`, `testing` (simulate, fuzz).
`json_lines` reads and answers the lines of `tallystick run`, and `demo_story` is what `tallystick demo` tells.
"""
