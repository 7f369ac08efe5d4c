"""What is asked of the provider: a call is performed, resolved, recovered, or ended by a person.

Keeps: whatever a provider answers, or does not, becomes an outcome, and no foreign exception leaves. A call ends once.
Only evidence ends it: the answer, the provider's own record, or a person with name and reason.

Read in this order: `ask_provider` (perform, and look up), `end_call` (resolve), `recovery` (what to do about a call
whose answer never came), `by_hand` (what a person says), `changed` (calls that somebody has changed in the database),
`in_doubt` (the open calls that a refusal has to name).

Knows the core, the rows of the store, what `verify` compares, and the provider's protocol. The engine and its
queue call it.
"""
