"""The sweep over the verbs: one verb of it, and one that tells an untruth, which it has to find. CI sweeps over all."""

from __future__ import annotations

from contextlib import suppress

import attrs

from tallystick.books.books import Books
from tallystick.errors import TallystickError
from tallystick.testing.faults.verb_sweep import AGAIN, FAULTS, VERBS, Verb, verb_sweep


def only(*names: str) -> tuple[Verb, ...]:
    return tuple(each for each in VERBS if each.name in names)


def test_what_a_verb_answers_after_a_fault_is_so() -> None:
    report = verb_sweep(lambda line: None, only("authorize"))
    assert report.findings == []
    assert report.figures["runs"] == len(FAULTS) * len(AGAIN)


def test_a_verb_that_answers_too_early_is_found() -> None:
    """It says that all is done, whatever became of it."""
    (authorize,) = only("authorize")

    def hushed(books: Books, key: str) -> None:
        with suppress(TallystickError):
            authorize.say(books, key)

    lying = attrs.evolve(authorize, say=hushed)
    report = verb_sweep(lambda line: None, (lying,))
    assert any("declined at contact 1" in each and "that is not so" in each for each in report.findings)
