"""What a command does, as values: entities as they are go in, entities as they would be come out.

Keeps: value is conserved and no account falls below zero; one transition fires or none; all amounts of a transition are
computed from the values before it. The core knows no clock, no randomness and no I/O.

Read in this order: `entity` (the values that all this is about), `arguments` (what a caller gives, typed), `decide`
(which transitions would fire; the theory is at its head), `fast_path` (the same for the usual case, as one function
made from the page), `resolve` (what is written: at once, or when the provider has answered), `follow_up` (what is
queued then), `refusal` (why not), `explain` (what would be taken instead, and what is in the way), `notebook` (how
values show themselves there), `migration` (an entity moves to a newer version of its page).

Knows the definition, the provider's values and money. The engine calls it for every command; the checks ask it what
would happen.
"""
