"""What a machine may ask of a provider: the verbs, and the type of each of their arguments. And what not all can do."""

from __future__ import annotations

from collections.abc import Mapping

# The verbs a machine may `ask:` for, with the type of each argument. `?` may be left out.
# fmt: off
VERBS: Mapping[str, Mapping[str, str]] = {
    "allocate":     {},
    "activate":     {"number": "number?", "pin": "secret?"},
    "issue":        {"amount": "money", "return_related": "flag"},
    "hold":         {"amount": "money", "pin": "secret?", "has_pin": "flag?", "allow_partial": "flag"},
    "redeem":       {"amount": "money", "pin": "secret?", "has_pin": "flag?", "allow_partial": "flag"},
    "redeem_hold":  {"amount": "money", "release": "money", "hold": "text?", "held": "money?"},
    "release_hold": {"amount": "money", "hold": "text?"},
    "void":         {"amount": "money", "transaction": "text?"},
    "adjust":       {"amount": "money"},
    "suspend":      {},
    "reinstate":    {},
    "update_account": {
        "first_name": "secret?", "last_name": "secret?", "email": "secret?", "phone": "secret?", "address1": "secret?",
        "address2": "secret?", "city": "secret?", "region": "secret?", "postal": "secret?", "country": "secret?",
        "alternate": "flag", "giver": "flag", "enrolls": "flag", "custom_number": "secret?", "custom_data": "secret?",
        "opts_in": "secret?", "opts_out": "secret?",
    },
}
# fmt: on

# What each is called where a program keeps account of its activity. A checkout is no verb, and a look changes nothing.
ACTIVITY: Mapping[str, str] = {
    "allocate": "Allocate",
    **dict.fromkeys(("issue", "hold", "redeem", "redeem_hold", "release_hold", "adjust"), "Update Balance"),
    "void": "Void",
    **dict.fromkeys(("activate", "suspend", "reinstate", "update_account"), "Update Account"),
}

# Verbs that move no value. If the provider's record does not show such a call, it may be sent again.
REPEATABLE = frozenset(["allocate", "activate", "suspend", "reinstate", "update_account"])

# What a provider may be able to do. A page decides by it what a flag is that is left out.
ABILITIES: Mapping[str, str] = {
    "keeps_remainder": "A hold of which a part is redeemed goes on holding the rest.",
}
