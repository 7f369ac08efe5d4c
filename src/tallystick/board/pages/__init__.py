"""The pages of the board, a file for each kind. Each page is a function of the desk and of what is asked.

Read in this order: `blocks` (what pages of reports have in common), `overview`, `figures` (what is owed, breakage,
escheat, and what a figure is made of), `changes` (what has happened in a period), `waiting` (what is not done),
`reconciliation`, `machines` (with what stands where, and the entities of a state), `life` (of one entity), `search`.
"""
