"""Our books beside the provider's own record: what differs, and what a person lets be posted.

Keeps: holds are never touched, and a difference of balance is posted only with a name and a reason.

Read in this order: `differences` (what both sides say, compared), `reconcile` (both are read, and posted).

Knows the engine. The verbs of books and the command line call it.
"""
