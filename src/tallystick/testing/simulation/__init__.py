"""The whole system under one clock, from one seed: engine, store, network and provider, with all that goes wrong.

Keeps: the same seed gives the same journal, to the last hash.

Read in this order: `simulate` (a seed from its start to its verdict), `world` (processes, clocks, what goes wrong),
`operations` (what happens all day) with `workload` (orders and cards) and `operator` (a person who decides),
`provider_double` (the other half) with `memory_provider`, `live_referee` (judges on the way), `liveness` (how it has
to end), `report`.

The command line and tests call it. It runs the engine on a store in memory and lets the referee judge.
"""
