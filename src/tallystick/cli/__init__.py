"""The command line: it reads words and files, calls the books or the engine, and prints answers.

Keeps: answers go to stdout and everything else to stderr; a card number is never printed in full, a PIN never at all; a
failure is one sentence and an exit code, never a traceback; a command that only looks makes no store.

Read in this order: `main` (all commands in sections), then a file for each section: `starting` (demo, key), `running`
(run, due, recover, resolve), `looking` (show, may, history, verify), `feed` (tail), `fleet` (worker), `waiting`
(stuck, waiting, holds), `provider` (balance, reconcile, adopt, sandbox) with `checkout`, `machines` (machines, diagram,
schema), `checking` (check, diff), `testing` (simulate, fuzz). They share `options` (which books), `parameters` (what an
ID or ARG=VALUE means), `printing`, `as_json` (answers as plain values) and `as_tables` (the same for people).
`json_lines` reads and answers the lines of `tallystick run`, and `demo_story` is what `tallystick demo` tells.

The top of the house: it may call every room, and no room calls it. Whoever wants an answer in a program asks the
books, not the command line.
"""
