"""Judges a finished run by its rows alone, with code of its own.

Keeps: the referee imports nothing of the library, so that a mistake in the library cannot hide itself. Only what each
verb does at the provider's it takes from the protocol (`provider.verbs`), which is data and imports nothing. An import
contract and a test hold that. It needs no store: `store_rows`, outside this room, reads the rows of any store, and
`Rows.of_sqlite` those in a file.

Read in this order: `evidence` (what it is given), `verdict` (`judge`), `journal_replay` (an entity as its journal
makes it), `effects` (what one transition does), `moved` (to a newer version of its page), `parts_read` (what a command
has read of other entities), `definition_reader` (a page, read a second time), `evaluate` (its expressions),
`reconciliation` (our books beside the provider's).

The other rooms of testing, the command line and tests call it. It calls nobody.
"""

from tallystick.testing.referee.evidence import Acknowledged, ProviderBooks, ProviderLine, Rows
from tallystick.testing.referee.verdict import judge

__all__ = ["Acknowledged", "ProviderBooks", "ProviderLine", "Rows", "judge"]
