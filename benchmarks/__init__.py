"""How fast it is, as ratios in one run to what a good engineer writes by hand: `python -m benchmarks`.

Keeps: both sides of a row do the same work, in turns, in one process; who writes by hand writes the same rows, and that
is proved before anything is timed; every target stands in `rows.yaml` and nowhere else.

Read `rows.yaml` first: all that is measured, against what, and what it has to reach. Then `rows` (reads it), `measure`
(in turns, medians, spread), `rivals` (two copies of the same books, and the proof), `large_books` (a million cards in a
minute), `opponents/` (what we are compared with), `timed/` (one function for each row), `profiling` (where our time
goes), `machine` (where a run was). Results are shown by `table`, `plot` and `page`. `soak` is apart: thousands of calls
with faults, and is anything lost? `soak_comparison` tells.
"""
