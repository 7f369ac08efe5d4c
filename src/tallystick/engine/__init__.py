"""One command, end to end: locked, decided, written, performed, resolved. The only room that knows store and provider.

Keeps: a key is done once. State, postings, journal, key, call and follow-ups are written together or not at all. No
provider is called while a transaction is open. A call without an answer stays in doubt until the provider's own record,
or a person, says what became of it.

Read in this order: `engine` (the four lists of steps), `steps` (lock, decide), `keys` (was it said before?), `journal`
(write), `calls` (perform, resolve, recover), `balances` (what the provider says of a balance), `receipt` with
`old_receipt` (what the caller gets), `preview` (what commands would do). Then what helps these: `unit_of_work` (what a
transaction has read and will write), `group_commit` (one commit for all threads that wait), `occurred`
(what happened before it is written), `uniqueness` (one card
number, one card), `parts` (what is read of those that link to an entity), `pin_policy` (whose PIN is needed), `queue`
(commands that wait), `owner` (whose the books are), `sealing` (card numbers under a key), `migrate` (entities move to a
newer page), `verify` (the journal is replayed and compared), `sums` (what reports of large books are made of),
`rehearsal` (lines that say what a scripted provider answers).

Knows the core, the store's protocol and the provider's. The verbs of `books`, the command line and the test kit
call it.
"""
