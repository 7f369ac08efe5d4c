"""Writes stories about any page, with faults in them, and looks for something wrong after every step.

Keeps: the same seed gives the same stories; what was found is a file that anybody can run again.

Read in this order: `world` (an engine, a store, a provider that does as it is told, and a record of it all), `walk`
(one step after the other), `guide` (where to go next) with `dice`, `parts` (what a command reads of its parts, and
shares of them), `boundaries` (values worth trying), `step_checks` (what has to be true after a step) with
`conformance`, `provider_agreement` and `invariants`, `coverage` (what was reached), `fuzzer` (the stories),
`shrink` (a failure made short), `report`. On their own stand `strategies` and `state_machine`, for tests of anybody's
with Hypothesis, and `conformance_walk`: a page beside the library `transitions`.

The command line, pytest's plugin and `faults` call it. It runs the engine on a store and lets the referee judge.
"""
