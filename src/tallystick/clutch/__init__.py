"""Clutch: gift cards and their balances kept by somebody else.

Read in this order: `settings`, `answers` (reading what Clutch writes), `wire` (a call to a request, an answer to an
outcome), `lookup` (what became of a lost call), `limits`, `client` (HTTP, and the provider itself), `checkout`.

    provider = ClutchProvider(ClutchSettings.from_environment())

`sandbox` is a Clutch-compatible server with books of its own; it shares nothing with the adapter, not even this file.
"""
