"""Judges a finished run by its rows alone, with eyes of its own.

Keeps: the referee imports nothing of the library, so that a mistake in the library cannot excuse itself. An import
contract and a test hold that. It needs no store: rows come in as plain values (`store_rows` reads any store,
`Rows.of_sqlite` a file).

Read in this order: `verdict` (`judge`, and what it is given), `journal_replay` (an entity as its journal makes it),
`effects` (what one transition does), `definition_reader` (a page, read a second time), `evaluate` (its expressions),
`reconciliation` (our books beside the provider's).

The other rooms of testing call it. It calls nobody.
"""
