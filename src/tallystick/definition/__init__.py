"""The language of machines: a page of YAML becomes a `Machine`, or every fault of it is reported with its place.

Keeps: a page is read strictly, and nothing on it is ignored; money is never added to or compared with a bare number;
a secret is passed on and never stored; an expression can only look; one name has one meaning. The rest of the house may
trust a `Machine` that it is given.

Read in this order: `expression` (guards and amounts, and their types), `prose` (for people), `declared` (what a page
declares, as values), `machine` (the table that runs), `shapes` and `format` (what may stand where), `cache` (pages
parsed before), `first_pass` (facts, accounts, states, commands), then the second pass: `scope` (what it looks up),
`calls` (how `drive`, `ask` and `then` are written), `transitions`, `rules` (refusals, invariants, and where what an
older version declared has its place), `examples` (short lives that `check` lives). `places` remembers where each part
of a page stands, `passes` does all of it, `reader` for a folder, `compiled` keeps what came of it (`files` says where),
and `behaviour` whether two versions of a page do the same.

Knows errors, money, and the verbs that a provider understands. Everybody above may ask it, most for a `Machine` alone;
what needs a search through states and amounts is the business of `check`.
"""
