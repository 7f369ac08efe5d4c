"""What an order system calls: cards are sold, orders are paid, shipments settle, cards get lost. All of it in `Money`.

Keeps: a verb asks for all of its steps before the first, so a refused verb has changed nothing. What a verb says of a
hold is so now. A PIN goes to the caller and nowhere else. Nobody can guess cards by asking for balances.

Read in this order: `books` (the verbs), `selling` (cards come into a hand), `replacing` (cards get lost; value moves
from card to card), `holding` (an amount is held on a card), `bulk` (lists of cards), `tenders` (several cards pay for
one order), `shares` (an amount, spread over parts), `dates` (cards and holds that end by a date), `occurred` (what was
done earlier than it is written), `base` (what any set of verbs needs), `limits` (how much goes onto a new card),
`views` (a card, a payment, a sale as the books have them), `history` (the life of one of them), `feed` (all entries,
for systems that want to hear of everything), `waiting/` (what waits, and for whom), `balance` (the guard of balance
checks), `balance_limits` (how often they are answered), `reconciling/` (our books beside the provider's record), `open`
(the way in), `async_books` (all of it, to be awaited).

Knows the engine. Your order system, the command line and the test kit call it.
"""
