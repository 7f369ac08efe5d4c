"""What a machine may ask of a provider: the verbs, the type of each argument, and what each does at the provider's.

A provider keeps the other half of a card: what is available, and for each hold and each transaction what it still holds
or can still give back. `EFFECTS` says as data what a confirmed verb does to that half. `half` does it, for the scripted
provider; `check` asks whether a page books what it asks for; the referee reads the same data by itself.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

# The verbs a machine may `ask:` for, with the type of each argument. `?` may be left out.
# fmt: off
VERBS: Mapping[str, Mapping[str, str]] = {
    "allocate":     {},
    "activate":     {"number": "number?", "pin": "secret?"},
    "issue":        {"amount": "money", "return_related": "flag"},
    "hold":         {"amount": "money", "pin": "secret?", "has_pin": "flag?", "allow_partial": "flag"},
    "redeem":       {"amount": "money", "pin": "secret?", "has_pin": "flag?", "allow_partial": "flag"},
    "redeem_hold":  {"amount": "money", "release": "money", "hold": "text?", "held": "money?"},
    "release_hold": {"amount": "money", "hold": "text?", "rest": "money?"},
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


@attrs.frozen
class Effect:
    """What a confirmed verb does to the provider's half of a card. Amounts are sums of the verb's arguments.

    `{"amount": -1}`: less by the argument `amount`. What is confirmed for less counts as that much.
    """

    available: Mapping[str, int] = attrs.field(factory=dict)  # what can be spent
    held: Mapping[str, int] = attrs.field(factory=dict)  # what is promised
    opens: str = ""  # "hold" or "transaction": its reference names one, which holds or can give back its amount
    names: str = ""  # the argument that names the one that it uses: a hold, or a transaction
    whole: str | None = None  # all that is left of the one named goes back: "" always, or if this argument is not 0
    believes: str = ""  # the argument that says how much the one named is worth, if it is given
    leaves: str = ""  # unless this argument is given and not 0: that much of it stays
    tells: tuple[str, ...] = ()  # what the outcome tells, and only once
    told: tuple[str, ...] = ()  # the arguments that it has to be told, if the command has them

    @property
    def moves(self) -> bool:
        """Whether it moves value."""
        return bool(self.available or self.held)

    @property
    def reads(self) -> frozenset[str]:
        """The arguments on which what it does depends."""
        return frozenset({*self.available, *self.held, self.names, self.whole or "", self.leaves, self.believes})

    @property
    def takes(self) -> Mapping[str, int]:
        """How much it takes of the one that it names."""
        return {name: -by for name, by in self.held.items()} if self.held else self.available


MORE, LESS = {"amount": 1}, {"amount": -1}
EFFECTS: Mapping[str, Effect] = {
    "allocate": Effect(tells=("number", "has_pin")),
    "activate": Effect(told=("number", "pin")),
    "issue": Effect(available=MORE),
    "hold": Effect(available=LESS, held=MORE, opens="hold", told=("pin",)),
    "redeem": Effect(available=LESS, opens="transaction", told=("pin",)),
    "redeem_hold": Effect(
        available={"release": 1},
        held={"amount": -1, "release": -1},
        names="hold",
        whole="release",
        opens="transaction",
        believes="held",
    ),
    "release_hold": Effect(available=MORE, held=LESS, names="hold", whole="", leaves="rest"),
    "void": Effect(available=MORE, names="transaction", whole=""),
    "adjust": Effect(available=MORE),
    "suspend": Effect(),
    "reinstate": Effect(),
    "update_account": Effect(),
}

# Verbs that move no value. If the provider's record does not show such a call, it may be sent again.
REPEATABLE = frozenset(["allocate", "activate", "suspend", "reinstate", "update_account"])

# What a provider may be able to do. A page decides by it what a flag is that is left out.
ABILITIES: Mapping[str, str] = {
    "keeps_remainder": "A hold of which a part is redeemed goes on holding the rest.",
    "releases_part": "A part of a hold can be released, and the rest stays held.",
}
