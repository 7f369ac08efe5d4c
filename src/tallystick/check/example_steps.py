"""How a step of an example came out: as the example says, or unlike it; and in a sentence."""

from __future__ import annotations

from tallystick.check.wording import amount
from tallystick.core.entity import Posting
from tallystick.definition.declared import IN_DOUBT, ExampleStep
from tallystick.engine.receipt import Ended, Receipt
from tallystick.provider.scripted import LOOKED_UP

ENDS = {"confirmed": Ended.APPLIED, "declined": Ended.DECLINED, "unavailable": Ended.UNAVAILABLE}


class Unlike(Exception):
    """What has become of an example is not what it says: a sentence, and the place of it on the page."""

    def __init__(self, why: str, *place: str) -> None:
        self.why, self.place = why, place
        super().__init__(why)


def as_said(step: ExampleStep, receipt: Receipt, *, asked: bool) -> str:
    """How a command came out. Raises Unlike if the example says otherwise. `asked`: it made a call of its own."""
    wanted = Ended.REFUSED if step.refused is not None else Ended.APPLIED
    replies = [kind for kind, _ in step.replies if kind not in LOOKED_UP]
    if replies and (asked or receipt.result is Ended.REFUSED):
        wanted = ENDS.get(replies[0], Ended.IN_DOUBT)
    why = f": {receipt.why}" if receipt.why else ""
    if receipt.result is not wanted:
        raise Unlike(f"{step.written!r} is {_word(receipt.result)}, and not {_word(wanted)}{why}")
    if step.refused and step.refused.removesuffix(".") not in receipt.why:
        raise Unlike(f"{step.written!r} is refused, but for another reason{why}")
    return f"refused{why}" if wanted is Ended.REFUSED else _word(wanted)


def _word(ended: Ended) -> str:
    return {Ended.APPLIED: "done", Ended.IN_DOUBT: "in doubt"}.get(ended, ended.value)


def sentence(receipt: Receipt, said: str) -> str:
    """What was done, and what has become of it."""
    moved = ", ".join(f"{source} → {target} {amount(minor)}" for source, target, minor in _moved(receipt))
    state = f" → {receipt.state}" if receipt.state else ""
    result = "" if receipt.applied else f" ({_word(receipt.result)}: {receipt.why})"
    return f"{receipt.id} {said}{state}{f': {moved}' if moved else ''}{result}"


def _moved(receipt: Receipt) -> list[Posting]:
    """Its postings, without the way over `in_doubt` where the provider has confirmed all of it."""
    there = [each for each in receipt.postings if each.target == IN_DOUBT]
    back = [each for each in receipt.postings if each.source == IN_DOUBT]
    if [each.amount for each in there] != [each.amount for each in back]:
        return list(receipt.postings)
    return [Posting(one.source, other.target, one.amount) for one, other in zip(there, back, strict=True)] + [
        each for each in receipt.postings if IN_DOUBT not in (each.source, each.target)
    ]
