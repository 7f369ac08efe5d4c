"""The whole system under one clock, from one seed: engine, store, network and provider, with all that goes wrong.

Keeps: the same seed gives the same journal, to the last hash.

Read in this order: `simulate` (a seed from its start to its verdict); `world` (processes, clocks, what goes wrong)
with `dying_store`; `order_system` (what happens all day) with `workload` (what to do with a card or an order),
`tenders` (with an order of several cards) and `operator` (a person who decides); `provider_double` (the provider's
side), of which there are `memory_double`, `local_double` and `clutch_double`; `live_referee` (judges on the way);
`liveness` (how a run has to end); `report`.

The command line and tests call this room. It runs the engine on a store in memory and lets the referee judge.
"""
