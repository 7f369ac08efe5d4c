"""What an order system calls: cards are sold, orders are paid, shipments settle, cards get lost. All of it in `Money`.

Keeps: a verb asks for all of its steps before the first, so a refused verb has changed nothing. What it claims is so
now. A PIN goes to the caller and nowhere else.

Read in this order: `books` (the verbs), `holding` (amounts are held, on one card or several), `base` (what both stand
on), `views` (a card, a payment, a sale as the books have them), `history` (the life of one of them), `waiting` (what
waits, and for whom), `balance` (balance checks that nobody can use to guess), `reconcile` (our half beside the
provider's), `open` (the way in).

Knows the engine. Your order system, the command line and the test kit call it.
"""
