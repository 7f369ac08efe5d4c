"""Two small pages of which one reads its parts: a basket, and the lines that link to it. No name is one of ours."""

from __future__ import annotations

from tallystick.definition import reader
from tallystick.definition.machine import Machines

BASKET = """\
machine: basket
version: 1
summary: Some lines that are paid together.
facts:
  total: {is: money, says: What all of it costs.}
states:
  open: {start: true, says: Lines are added.}
  filling: {says: Each line takes its portion., goes_on: true}
  full: {says: All lines have what they need.}
  emptying: {says: The lines give back what they have., goes_on: true}
  over: {final: true, says: Nothing is left in it.}
transitions:
  fill:
    from: open
    to: filling
    when: 0 < portions.total == total
    then: [each line.put(amount=share), settle_down()]
  filled:
    command: settle_down
    from: filling
    to: full
    when: line.busy == 0 and line.inside == total
  spilt:
    command: settle_down
    from: filling
    to: emptying
    when: line.busy == 0 and line.inside != total
    then: [each line.empty(), finish()]
  pour:
    from: full
    when: amount == portions.total <= line.inside and line.busy == 0
    then: each line.take(amount=share)
  discard:
    from: full
    to: emptying
    when: line.busy == 0
    then: [each line.empty(), finish()]
  finish:
    from: emptying
    to: over
    when: line.busy == 0 and line.inside == 0
commands:
  fill: {portions: shares}
  settle_down: {}
  pour: {amount: money, portions: shares}
  discard: {}
  finish: {}
patient: [settle_down, finish]
refuse:
  - {in: [open], commands: [fill], when: portions.total != total or portions.total == 0, says: It must add up.}
  - {in: [filling], commands: [settle_down], when: line.busy > 0, says: A line has no answer yet.}
  - {in: [full], commands: [pour], when: amount != portions.total or portions.total > line.inside or line.busy > 0,
     says: So much cannot be poured.}
  - {in: [full], commands: [discard], when: line.busy > 0, says: A line is not done.}
  - {in: [emptying], commands: [finish], when: line.busy > 0 or line.inside > 0, says: It is not empty yet.}
  - {in: [open], commands: [settle_down, pour, discard, finish], says: It is open.}
  - {in: [filling], commands: [fill, pour, discard, finish], says: It is being filled.}
  - {in: [full], commands: [fill, settle_down, finish], says: It is full.}
  - {in: [emptying], commands: [fill, settle_down, pour, discard], says: It is being emptied.}
  - {in: [over], commands: [fill, settle_down, pour, discard, finish], says: It is over.}
"""

LINE = """\
machine: line
version: 1
summary: One thing in a basket.
facts:
  basket: {is: basket, says: Where it lies.}
  number: {is: number?, unique: true, says: The account that pays for it.}
accounts:
  inside: Paid for it.
  used: {says: Poured out., kept: true}
outside:
  purse: Whoever pays.
states:
  fresh: {start: true, says: Nothing is inside.}
  held: {says: Something is inside.}
  bare: {final: true, says: It is empty.}
transitions:
  put:
    from: fresh
    to: held
    else: bare
    when: amount > 0
    ask: hold
    partial: amount
    move: {purse -> inside: amount}
  take:
    from: held
    when: 0 < amount <= inside
    move: {inside -> used: amount}
  empty_fresh: {command: empty, from: fresh, to: bare}
  empty:
    from: held
    to: bare
    move: {inside -> purse: inside}
commands:
  put: {amount: money}
  take: {amount: money}
  empty: {}
once: [put]
refuse:
  - {in: [fresh], commands: [put], when: amount <= 0, says: It must be something.}
  - {in: [held], commands: [take], when: amount <= 0 or amount > inside, says: So much is not inside.}
  - {in: [fresh], commands: [take], says: Nothing is inside.}
  - {in: [held], commands: [put], says: It is full.}
  - {in: [bare], commands: [put, take, empty], says: It is bare.}
"""


def basket_pages(*changes: str) -> Machines:
    """Both pages, with `old` → `new`, … in one of them."""
    texts = {"basket.yaml": BASKET, "line.yaml": LINE}
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        (name,) = [name for name, text in texts.items() if old in text]
        texts[name] = texts[name].replace(old, new, 1)
    return reader.read(texts)
