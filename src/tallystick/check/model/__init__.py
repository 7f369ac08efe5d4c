"""The machines run together through everything they can do, with small amounts.

Keeps: every step is the core's own, so there is no second semantics; a finding comes with the shortest way to it, which
can be run again; what was not looked at is never called wrong.

Read in this order: `worlds` (who lives together) with `inputs` (with which values); `core_cache` (what the core
answers, remembered) with `halves` (what the provider knows of each card), and `search` (every way a world can go) with
`multisets` and `rarest_first`. What is asked of the states:

    `invariants`      what was declared holds in every state
    `monitor`         what is wrong with a single step, and notes on all that happens, with `guard_coverage`
    `liveness`        from every state everything can still be fetched, ended and answered
    `coverage`        what never happened

`story` tells the way to a state. `explore` does it all; `check.report` calls it.
"""
