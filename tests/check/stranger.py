"""Pages of somebody else, and mistakes planted in them; `test_strangers` has each found.

A canteen keeps pupils' money at a provider's: meals that can be undone, trips that hold some of it. A basket is paid
from a wallet, which has to agree with it.
"""

from __future__ import annotations

C, B, W = "canteen.yaml", "basket.yaml", "wallet.yaml"
# fmt: off
PAGES = {
C: """
machine: canteen
version: 1
summary: A pupil's money for meals.
facts:
  pupil: text
  cap: {is: money?, says: The most on it.}
  number: {is: number?, unique: true, later: true, says: On the chip.}
  meal: {is: text?, later: true, says: The provider's name for the last meal.}
  trip: {is: text?, later: true, says: The provider's name for what a trip keeps.}
accounts:
  free: For meals.
  plate: The last meal.
  trips: Kept for a trip.
outside:
  parents: Who pays in.
  kitchen: Meals.
  buses: Trips.
states:
  made: {start: true, says: Not handed out.}
  handed: {says: The pupil has it.}
  eaten: {says: "A meal was taken, and may be undone."}
  booked: {says: A trip keeps some of it.}
  closed: {final: true, says: The pupil left.}
commands:
  hand_out: {number: number, pin: secret}
  load: {amount: money}
  eat: {amount: money}
  undo: {}
  digest: {}
  refund: {amount: money}
  book: {amount: money}
  ride: {amount: money}
  cancel: {}
  leave: {}
transitions:
  hand_out:
    from: made
    to: handed
    ask: activate(number=number, pin=pin)
    set: {number: number}
  load:
    from: handed
    when: amount > 0 and (cap == none or free + in_doubt + amount <= cap)
    ask: issue
    move: {parents -> free: amount}
  eat:
    from: handed
    to: eaten
    when: 0 < amount <= free
    ask: redeem
    move: {free -> plate: amount}
    set: {meal: outcome.reference}
  undo:
    from: eaten
    to: handed
    ask: void(amount=plate, transaction=meal)
    move: {plate -> free: plate}
    set: {meal: none}
  digest:
    from: eaten
    to: handed
    move: {plate -> kitchen: plate}
    set: {meal: none}
  refund:
    from: eaten
    to: handed
    when: 0 < amount <= plate
    ask: issue(amount=amount, return_related=true)
    move: {plate -> free: amount, plate -> kitchen: plate - amount}
    set: {meal: none}
  book:
    from: handed
    to: booked
    when: 0 < amount <= free
    ask: hold
    move: {free -> trips: amount}
    set: {trip: outcome.reference}
  ride:
    from: booked
    to: handed
    when: 0 < amount <= trips
    ask: redeem_hold(amount=amount, release=trips - amount, hold=trip, held=trips)
    move: {trips -> buses: amount, trips -> free: trips - amount}
    set: {trip: none}
  cancel:
    from: booked
    to: handed
    ask: release_hold(amount=trips, hold=trip)
    move: {trips -> free: trips}
    set: {trip: none}
  give_up: {command: leave, from: made, to: closed}
  leave:
    from: handed
    to: closed
    when: in_doubt == 0 and free > 0
    ask: adjust(amount=-free)
    move: {free -> parents: free}
  leave_empty: {command: leave, from: handed, to: closed, when: in_doubt == 0 and free == 0}
refuse:
  - {in: [handed], commands: [load], when: amount <= 0 or cap != none and free + in_doubt + amount > cap, says: Not so.}
  - {in: [handed], commands: [eat, book], when: amount <= 0 or amount > free, says: There is less.}
  - {in: [eaten], commands: [refund], when: amount <= 0 or amount > plate, says: It cost less.}
  - {in: [booked], commands: [ride], when: amount <= 0 or amount > trips, says: There is less.}
  - {in: [handed], commands: [leave], when: in_doubt > 0, says: Wait.}
  - {in: [handed, eaten, booked, closed], commands: [hand_out], says: It was.}
  - {in: [made], commands: [load, eat, undo, digest, refund, book, ride, cancel], says: Not yet.}
  - {in: [handed], commands: [undo, digest, refund, ride, cancel], says: Nothing of the kind.}
  - {in: [eaten], commands: [load, eat, book, ride, cancel, leave], says: First the meal.}
  - {in: [booked], commands: [load, eat, undo, digest, refund, book, leave], says: First the trip.}
  - {in: [closed], commands: [load, eat, undo, digest, refund, book, ride, cancel, leave], says: Over.}
""",
W: """
machine: wallet
version: 1
summary: Somebody's wallet at the provider's.
facts: {owner: text}
accounts: {coins: In it., kept: Kept for somebody.}
outside: {mint: Where they come from., shops: Where they go.}
states: {open: {start: true, says: Open.}, shut: {final: true, says: Shut.}}
commands:
  fill: {amount: money}
  give_back: {amount: money}
  keep: {amount: money}
  use: {amount: money, hold: text?, whole: money}
  free: {amount: money, hold: text?}
  spend: {amount: money}
  shut: {}
driven: [give_back, keep, use, free]
transitions:
  fill: {from: open, when: amount > 0, ask: issue, move: {mint -> coins: amount}}
  give_back: {from: open, when: amount > 0, ask: 'issue(amount=amount, return_related=true)', move: {shops -> coins: amount}}
  keep: {from: open, when: 0 < amount <= coins, ask: hold, move: {coins -> kept: amount}}
  use:
    from: open
    when: 0 < amount <= kept and amount <= whole <= kept
    ask: redeem_hold(amount=amount, release=whole - amount, hold=hold, held=whole)
    move: {kept -> shops: amount, kept -> coins: whole - amount}
  free: {from: open, when: 0 < amount <= kept, ask: 'release_hold(amount=amount, hold=hold)', move: {kept -> coins: amount}}
  spend: {from: open, when: 0 < amount <= coins, ask: redeem, move: {coins -> shops: amount}}
  shut: {from: open, to: shut, when: coins == 0 and kept == 0}
refuse:
  - {in: [open], commands: [fill, give_back], when: amount <= 0, says: More.}
  - {in: [open], commands: [keep, spend], when: amount <= 0 or amount > coins, says: Less.}
  - {in: [open], commands: [use], when: amount <= 0 or amount > kept or amount > whole or whole > kept, says: Less.}
  - {in: [open], commands: [free], when: amount <= 0 or amount > kept, says: Less.}
  - {in: [open], commands: [shut], when: coins > 0 or kept > 0, says: Not empty.}
  - {in: [shut], commands: [fill, give_back, keep, use, free, spend, shut], says: Over.}
invariants:
  kept: {says: As much as is due., sum: {promised: basket.one.due}, always: kept == promised}
""",
B: """
machine: basket
version: 1
summary: A purchase paid from a wallet.
facts:
  one: wallet
  name: {is: text?, later: true, says: What is kept in one.}
accounts: {due: Kept in one for it., paid: {kept: true, says: Paid.}}
outside: {one: The one.}
states:
  empty: {start: true, says: Nothing yet.}
  kept: {says: The one keeps it.}
  bought: {says: Paid.}
  done: {final: true, says: Over.}
commands: {reserve: {amount: money}, drop: {}, buy: {amount: money}, take_back: {amount: money}, finish: {}}
transitions:
  reserve: {from: empty, to: kept, when: amount > 0, drive: one.keep(amount=amount), move: {one -> due: amount}, set: {name: outcome.reference}}
  drop: {from: kept, to: done, drive: 'one.free(amount=due, hold=name)', move: {due -> one: due}, set: {name: none}}
  buy:
    from: kept
    to: bought
    when: 0 < amount <= due
    drive: one.use(amount=amount, hold=name, whole=due)
    move: {due -> paid: amount, due -> one: due - amount}
    set: {name: none}
  take_back: {from: bought, when: 0 < amount <= paid, drive: one.give_back(amount=amount), move: {paid -> one: amount}}
  finish: {from: [bought, empty], to: done}
refuse:
  - {in: [empty], commands: [reserve], when: amount <= 0, says: More.}
  - {in: [kept], commands: [buy], when: amount <= 0 or amount > due, says: Less.}
  - {in: [bought], commands: [take_back], when: amount <= 0 or amount > paid, says: Less.}
  - {in: [empty], commands: [drop, buy, take_back], says: Not yet.}
  - {in: [kept], commands: [reserve, take_back, finish], says: First.}
  - {in: [bought], commands: [reserve, drop, buy], says: It is bought.}
  - {in: [done], commands: [reserve, drop, buy, take_back, finish], says: Over.}
""",
}
EXAMPLES = """
examples:
  up to the cap:
    given: {cap: 5.00}
    do: [hand_out 6006491286000001 1234, load 3.00, {load 2.01: refused}, load 2.00]
    ends: {state: handed, free: 5.00, parents: -5.00}
  all of a meal is given back:
    given: {}
    do: [hand_out 6006491286000001 1234, load 3.00, eat 2.00, refund 2.00]
    ends: {state: handed, free: 3.00}
  a meal:
    given: {}
    do: [hand_out 6006491286000001 1234, load 3.00, eat 2.00, digest]
    ends: {state: handed, free: 1.00, kitchen: 2.00}
"""
Edits = tuple[tuple[str, str], ...]
FOUND: dict[str, tuple[str, Edits, str]] = {
    'verb: eat by hold': (C, (('ask: redeem\n', 'ask: hold\n'),), 'TS126'),
    'verb: book by redeem': (C, (('ask: hold\n    move: {free -> trips', 'ask: redeem\n    move: {free -> trips'),), 'TS126'),
    'verb: cancel by redeem_hold': (C, (('ask: release_hold(amount=trips, hold=trip)', 'ask: redeem_hold(amount=trips, release=0, hold=trip, held=trips)'),), 'TS126'),
    'verb: ride by release': (C, (('ask: redeem_hold(amount=amount, release=trips - amount, hold=trip, held=trips)', 'ask: release_hold(amount=trips, hold=trip)'),), 'TS126'),
    'verb: refund by void': (C, (('ask: issue(amount=amount, return_related=true)\n    move: {plate', 'ask: void(amount=amount, transaction=meal)\n    move: {plate'),), 'TS215'),
    'verb: give_back by redeem': (W, (("ask: 'issue(amount=amount, return_related=true)'", 'ask: redeem'),), 'TS126'),
    'verb: basket drop uses use': (B, (("drive: 'one.free(amount=due, hold=name)'", "drive: 'one.use(amount=due, hold=name, whole=due)'"),), 'TS306'),
    'verb: take_back by keep': (B, (('drive: one.give_back(amount=amount)', 'drive: one.keep(amount=amount)'),), 'TS201'),
    'amount: refund all': (C, (('ask: issue(amount=amount, return_related=true)\n    move: {plate -> free: amount', 'ask: issue(amount=plate, return_related=true)\n    move: {plate -> free: amount'),), 'TS126'),
    'amount: release one less': (C, (('release=trips - amount, hold=trip', 'release=0, hold=trip'),), 'TS126'),
    'amount: leave asks half': (C, (('adjust(amount=-free)', 'adjust(amount=-free - free)'),), 'TS126'),
    'amount: whole is wrong': (B, (('drive: one.use(amount=amount, hold=name, whole=due)', 'drive: one.use(amount=amount, hold=name, whole=amount)'),), 'TS201'),
    'amount: take back books more': (B, (('move: {paid -> one: amount}}\n  finish', 'move: {paid -> one: paid}}\n  finish'),), 'TS306'),
    'amount: void what is paid plus': (C, (('void(amount=plate,', 'void(amount=plate + plate,'),), 'TS126'),
    'amount: reserve double': (B, (('drive: one.keep(amount=amount)', 'drive: one.keep(amount=amount + amount)'),), 'TS201'),
    'amount: held is amount': (C, (('hold=trip, held=trips)', 'hold=trip, held=amount)'),), 'TS215'),
    'lost: load': (C, (('    ask: issue\n    move: {parents', '    move: {parents'),), 'TS126'),
    'lost: undo': (C, (('    ask: void(amount=plate, transaction=meal)\n', ''),), 'TS126'),
    'lost: cancel': (C, (('    ask: release_hold(amount=trips, hold=trip)\n', ''),), 'TS126'),
    'lost: leave': (C, (('    ask: adjust(amount=-free)\n', ''),), 'TS126'),
    'lost: refund': (C, (('    ask: issue(amount=amount, return_related=true)\n    move: {plate', '    move: {plate'),), 'TS126'),
    'lost: drop': (B, (("drive: 'one.free(amount=due, hold=name)', ", ''),), 'TS201'),
    'lost: take_back': (B, (('drive: one.give_back(amount=amount), ', ''),), 'TS306'),
    'id: trip cleared on book': (C, (('    set: {trip: outcome.reference}', '    set: {trip: none}'),), 'TS121'),
    'id: trip into meal': (C, (('    set: {trip: outcome.reference}', '    set: {meal: outcome.reference}'),), 'TS121'),
    'id: meal into trip': (C, (('    set: {meal: outcome.reference}', '    set: {trip: outcome.reference}'),), 'TS121'),
    'id: cancel names meal': (C, (('release_hold(amount=trips, hold=trip)', 'release_hold(amount=trips, hold=meal)'),), 'TS121'),
    'id: void names trip': (C, (('transaction=meal)', 'transaction=trip)'),), 'TS121'),
    'id: void names nothing': (C, (('void(amount=plate, transaction=meal)', 'void(amount=plate)'),), 'TS111'),
    'id: pupil': (C, (('transaction=meal)', 'transaction=pupil)'),), 'TS111'),
    'id: basket name not set': (B, ((', set: {name: outcome.reference}', ''),), 'TS121'),
    'id: basket use no name': (B, (('hold=name, whole=due', 'hold=none, whole=due'),), 'TS215'),
    'double: refund keeps plate': (C, (('move: {plate -> free: amount, plate -> kitchen: plate - amount}\n    set: {meal: none}', 'move: {kitchen -> free: amount}'),), 'TS106'),
    'double: refund stays eaten with name': (C, (('    from: eaten\n    to: handed\n    when: 0 < amount <= plate\n    ask: issue(amount=amount, return_related=true)\n    move: {plate -> free: amount, plate -> kitchen: plate - amount}\n    set: {meal: none}', '    from: eaten\n    when: 0 < amount <= plate\n    ask: issue(amount=amount, return_related=true)\n    move: {plate -> free: amount}'),), 'TS106'),
    'double: undo from kitchen, stays': (C, (('    from: eaten\n    to: handed\n    ask: void(amount=plate, transaction=meal)\n    move: {plate -> free: plate}\n    set: {meal: none}', '    from: eaten\n    ask: void(amount=plate, transaction=meal)\n    move: {plate -> free: plate}'),), 'TS106'),
    'told: no number': (C, (('activate(number=number, pin=pin)', 'activate(pin=pin)'),), 'TS127'),
    'told: number not kept': (C, (('    set: {number: number}\n', ''),), 'TS111'),
    'doubt: cap without in_doubt (both)': (C, (('free + in_doubt + amount <= cap', 'free + amount <= cap'), ('free + in_doubt + amount > cap', 'free + amount > cap')), 'TS130'),
    'cap: dropped (both)': (C, ((' and (cap == none or free + in_doubt + amount <= cap)', ''), (' or cap != none and free + in_doubt + amount > cap', '')), 'TS111'),
    'both: eat more than free': (C, (('    to: eaten\n    when: 0 < amount <= free', '    to: eaten\n    when: amount > 0'), ('commands: [eat, book], when: amount <= 0 or amount > free', 'commands: [eat, book], when: amount <= 0')), 'TS118'),
    'both: refund of nothing': (C, (('when: 0 < amount <= plate', 'when: 0 <= amount <= plate'), ('when: amount <= 0 or amount > plate', 'when: amount < 0 or amount > plate')), 'TS208'),
    'twice: hand_out loads also? load from made': (C, (('  load:\n    from: handed', '  load:\n    from: [handed, made]'), ('  - {in: [made], commands: [load, eat', '  - {in: [made], commands: [eat')), 'TS105'),
    'place: ride rest lost to buses': (C, (('trips -> buses: amount, trips -> free: trips - amount', 'trips -> buses: trips'),), 'TS126'),
    'place: due to one instead of paid': (B, (('due -> paid: amount, due -> one: due - amount', 'due -> one: due'),), 'TS112'),
    'place: due stays': (B, (('due -> paid: amount, due -> one: due - amount', 'due -> paid: amount'),), 'TS108'),
}
# Only who has written the page knows that it is otherwise: an example says it
MEANT: dict[str, tuple[str, Edits]] = {
    'cap: off by amount (both)': (C, (('cap == none or free + in_doubt + amount <= cap', 'cap == none or free + in_doubt <= cap'), ('cap != none and free + in_doubt + amount > cap', 'cap != none and free + in_doubt > cap'))),
    'pieces: amount under cap (both)': (C, (('free + in_doubt + amount <= cap', 'amount <= cap'), ('free + in_doubt + amount > cap', 'amount > cap'))),
    'both: refund less than': (C, (('when: 0 < amount <= plate', 'when: 0 < amount < plate'), ('when: amount <= 0 or amount > plate', 'when: amount <= 0 or amount >= plate'))),
    'place: meal to buses': (C, (('plate -> kitchen: plate}', 'plate -> buses: plate}'),)),
}
# Both halves come out the same: the provider counts a load as a load or as a correction, a meal as undone or as given back;
# a name that is written over before it is used again does no harm; and no call is open where a life ends.
ALIKE: dict[str, tuple[str, Edits]] = {
    'verb: load by adjust (equal)': (C, (('    ask: issue\n', '    ask: adjust\n'),)),
    'verb: undo by issue': (C, (('ask: void(amount=plate, transaction=meal)', 'ask: issue(amount=plate)'),)),
    'id: trip not cleared on ride': (C, (('trips -> free: trips - amount}\n    set: {trip: none}', 'trips -> free: trips - amount}'),)),
    'doubt: leave while in doubt (both)': (C, (('when: in_doubt == 0 and free > 0', 'when: free > 0'), ('when: in_doubt == 0 and free == 0', 'when: free == 0'), ('  - {in: [handed], commands: [leave], when: in_doubt > 0, says: Wait.}\n', ''))),
}
# fmt: on
