"""The fast paths say what the rows say, wherever they say anything: at every step of a walk, and in any story."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given, settings

import core_world
from core.test_properties import EASE, Line, Story, stories
from tallystick.core.decide import decide
from tallystick.core.entity import Entity, Intent, Ref, Request
from tallystick.core.refusal import Code, Refusal
from tallystick.core.resolve import complete
from tallystick.definition import reader
from tallystick.definition.machine import Machines
from tallystick.engine import steps
from tallystick.provider.protocol import Outcome, Result
from tallystick.testing.fuzzing import conformance_walk, guide
from tallystick.testing.fuzzing.fuzzer import fuzz

PACKAGED = reader.load(reader.packaged_folder())
ANSWERS = (None, Outcome(Result.CONFIRMED, "t1", "r1", number="6006", has_pin=True))


class Silent(dict[tuple[str, str], Any]):
    """No fast path has ever anything to say."""

    def get(self, *_: object) -> Any:
        return lambda *_: None


def by_rows(machines: Machines) -> Machines:
    copies = [attrs.evolve(each) for each in machines.all()]
    for each in copies:
        object.__setattr__(each, "fast_paths", Silent())
    return Machines(copies)


class Both:
    """`decide`, which asks both and compares. It counts what was decided fast, and what was refused."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[Machines, Machines]] = {}
        self.fast: Counter[str] = Counter()
        self.by_rows: Counter[str] = Counter()
        self.refused: Counter[Code] = Counter()

    def __call__(self, machines: Machines, request: Request, world: Mapping[Ref, Entity]) -> Intent | Refusal:
        _, rows = self.rows.setdefault(id(machines), (machines, by_rows(machines)))
        answer, wanted = decide(machines, request, world), decide(rows, request, world)
        assert answer == wanted
        if isinstance(answer, Refusal):
            self.refused[answer.code] += 1
            return answer
        for step in answer.steps:
            (self.fast if step.fire else self.by_rows)[f"{step.entity.machine}.{step.row.name}"] += 1
        for outcome in ANSWERS:
            for amount in (None, 1) if answer.partial and outcome else (None,):
                said = [] if outcome is None else [attrs.evolve(outcome, amount=amount)]
                one, other = decide(machines, request, world), decide(rows, request, world)
                assert complete(machines, one, *said) == complete(rows, other, *said)  # type: ignore[arg-type]
        return answer


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    both = Both()
    for module in (steps, guide, conformance_walk, core_world):
        monkeypatch.setattr(module, "decide", both)
    yield both
    assert sum(both.fast.values()) > sum(both.by_rows.values()), "most go the fast path"
    assert both.refused, "and some are refused"


@pytest.mark.parametrize("name", ["payment", "gift_card"])
def test_walks_go_the_same_way(both: Both, name: str) -> None:
    assert fuzz(PACKAGED, name, examples=3, seed=11).found is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_long_walks_go_the_same_way(both: Both, seed: int) -> None:
    assert fuzz(PACKAGED, *PACKAGED, examples=60, seed=seed).found is None
    assert len(both.fast) >= 50


def test_stories_go_the_same_way(both: Both) -> None:
    """Calls are left open in these, and answered in any order."""

    @settings(EASE, max_examples=5, database=None)
    @given(stories)
    def told(story: list[Line]) -> None:
        tale = Story()
        for line in story:
            tale.tell(line)

    told()


def test_another_answer_would_be_seen() -> None:
    machines = reader.load(reader.packaged_folder())
    card = Entity("gift_card", "c", "issued", 1, machines["gift_card"].version, "USD",
                  dict.fromkeys(machines["gift_card"].facts), dict.fromkeys(machines["gift_card"].columns, 0) | {"available": 500})  # fmt: skip
    args = machines["gift_card"].commands["redeem"].left_out() | {"amount": 200}
    request, world, compare = (
        Request("gift_card", "c", "redeem", args, "2026-01-01T00:00:00.000Z"),
        {card.ref: card},
        Both(),
    )
    compare(machines, request, world)
    usual = machines["gift_card"].fast_paths["issued", "redeem"]

    def wrong(*given: Any) -> Any:
        step = usual(*given)
        step.after = {**step.after, "available": 301}
        return step

    machines["gift_card"].fast_paths["issued", "redeem"] = wrong
    with pytest.raises(AssertionError):
        compare(machines, request, world)
