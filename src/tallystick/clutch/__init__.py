"""Clutch: gift cards and their balances, kept by somebody else.

    provider = ClutchProvider(ClutchSettings.from_environment())

Keeps: a request that moves money is sent once, whatever comes back; a lost call is confirmed only if Clutch's record
shows it for sure; no card number, PIN or credential is in a log, an exception or a repr.

Read in this order: `settings` with `environment` (what has to be known about a brand, and from which variables it
comes); `answers` (reading what Clutch writes); `wire` (a call to a request, an answer to an outcome); `lookup` (what
became of a lost call); `request_limits` (a leaky bucket and a circuit breaker); `transport` with `deadline` (HTTP);
`client` (the provider itself); `checkout` (baskets, which are no verb of the protocol).

`sandbox` is a server that behaves like Clutch, with books of its own. It shares nothing with the adapter.

The entry point `tallystick.providers` plugs the adapter in, like anybody's. Only the command line and testing import
it. It knows the provider's protocol, money and errors.
"""
