"""The command line: it reads words and files, calls the books or the engine, and prints answers.

Keeps: answers go to stdout and everything else to stderr; a card number is never printed in full, a PIN never at all; a
failure is one sentence and an exit code, never a traceback; a command that only looks makes no store.

Read in this order: `main` (all commands in sections), then `commands/`, a file for each section. They share `options`
(which books), `parameters` (what an ID or ARG=VALUE means), `pages` (with those beside them), `csv_lines` (a list of
cards), `printing`, `as_json` (answers as plain values), `as_tables` (the same for people) and `annotations` (findings
at the lines of a page).

The top of the house: it may call every room, and no room calls it. Whoever wants an answer in a program asks the
books, not the command line.
"""
