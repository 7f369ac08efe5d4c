"""Pages that are right and unusual, each with an example of what it is for. `check` must find nothing in them."""

from __future__ import annotations

# fmt: off
UNUSUAL = {
"a life without money": """
states: {asked: {start: true, says: Asked.}, done: {final: true, says: Done.}}
commands: {do: {}}
transitions: {do: {from: asked, to: done}}
refuse: [{in: [done], commands: [do], says: It is done.}]
examples:
  it is done: {do: [do, {do: refused}], ends: {state: done}}
""",
"three tries, then it is closed": """
facts: {tries: {is: count, default: 0, later: true, says: How often.}}
states: {open: {start: true, says: It may be tried.}, closed: {final: true, says: Too often.}, in: {final: true, says: Right.}}
commands: {try: {right: flag}}
transitions:
  wrong: {command: try, from: open, when: not right and tries < 2, set: {tries: tries + 1}}
  last: {command: try, from: open, to: closed, when: not right and tries >= 2}
  right: {command: try, from: open, to: in, when: right}
refuse: [{in: [closed, in], commands: [try], says: It is over.}]
examples:
  the third is the last: {do: [try, try, try, {try: refused}], ends: {state: closed, tries: 2}}
  right in the end: {do: [try, try right], ends: {state: in, tries: 1}}
""",
"two accounts change places": """
accounts: {left: Left., right: Right.}
outside: {world: Elsewhere.}
states: {open: {start: true, says: Open.}, gone: {final: true, says: Gone.}}
commands: {put: {amount: money}, turn: {}, end: {}}
transitions:
  put: {from: open, when: amount > 0, move: {world -> left: amount}}
  turn: {from: open, when: left > 0 or right > 0, move: {left -> right: left, right -> left: right}}
  end: {from: open, to: gone, move: {left -> world: left, right -> world: right}}
refuse:
  - {in: [open], commands: [put], when: amount <= 0, says: More than nothing.}
  - {in: [open], commands: [turn], when: left == 0 and right == 0, says: There is nothing.}
  - {in: [gone], commands: [put, turn, end], says: It is gone.}
examples:
  turned twice: {do: [put 5.00, turn, put 1.00, turn], ends: {state: open, left: 5.00, right: 1.00, world: -6.00}}
""",
"all or nothing, to the cent": """
facts: {price: {is: money, says: What it costs.}}
accounts: {paid: {kept: true, says: Paid.}}
outside: {customer: Who pays.}
states: {due: {start: true, says: Due.}, paid_up: {final: true, says: Paid.}}
commands: {pay: {amount: money}, waive: {}}
transitions:
  pay: {from: due, to: paid_up, when: 0 < amount == price, move: {customer -> paid: amount}}
  waive: {from: due, to: paid_up}
refuse:
  - {in: [due], commands: [pay], when: amount <= 0 or amount != price, says: It costs another amount.}
  - {in: [paid_up], commands: [pay, waive], says: It is paid.}
examples:
  the price: {given: {price: 5.00}, do: [{pay 4.99: refused}, {pay 5.01: refused}, pay 5.00], ends: {state: paid_up, paid: 5.00}}
""",
"two ends by one command": """
states: {open: {start: true, says: Open.}, yes: {final: true, says: 'Yes.'}, no_: {final: true, says: 'No.'}}
commands: {decide: {yes: flag}}
transitions:
  say_yes: {command: decide, from: open, to: 'yes', when: yes}
  say_no: {command: decide, from: open, to: no_, when: not yes}
refuse: [{in: ['yes', no_], commands: [decide], says: It was decided.}]
examples:
  decided: {do: [decide yes], ends: {state: 'yes'}}
""",
"one thing follows another, three times": """
states: {a: {start: true, says: A.}, b: {goes_on: true, says: B.}, c: {goes_on: true, says: C.}, d: {final: true, says: D.}}
commands: {go: {}, on: {}, last: {}}
transitions:
  go: {from: a, to: b, then: on()}
  on: {from: b, to: c, then: last()}
  last: {from: c, to: d}
refuse:
  - {in: [a], commands: [on, last], says: Not yet.}
  - {in: [b], commands: [go, last], says: Not now.}
  - {in: [c], commands: [go, on], says: Not now.}
  - {in: [d], commands: [go, on, last], says: It is over.}
examples:
  all at once: {do: [go], ends: {state: d}}
""",
"a provider that confirms less": """
accounts: {held: Held.}
outside: {card: The card.}
facts: {hold: {is: text?, later: true, says: Its name.}}
states: {open: {start: true, says: Open.}, held_up: {says: Held.}, no_: {final: true, says: Declined.}, gone: {final: true, says: Gone.}}
commands: {take: {amount: money}, free: {}, lose: {}}
signed: [lose]
transitions:
  take: {from: open, to: held_up, else: no_, when: amount > 0, ask: 'hold(amount=amount, allow_partial=true)', partial: amount, move: {card -> held: amount}, set: {hold: outcome.reference}}
  free: {from: held_up, to: gone, ask: 'release_hold(amount=held, hold=hold)', move: {held -> card: held}, set: {hold: none}}
  lose: {from: held_up, to: gone, move: {held -> card: held}, set: {hold: none}}
refuse:
  - {in: [open], commands: [take], when: amount <= 0, says: More than nothing.}
  - {in: [open], commands: [free, lose], says: Nothing is held.}
  - {in: [held_up], commands: [take], says: It is held.}
  - {in: [no_, gone], commands: [take, free, lose], says: It is over.}
examples:
  less is held: {do: [{take 5.00: confirmed 3.00}], ends: {state: held_up, held: 3.00, hold: some, provider.held: 3.00}}
  no: {do: [{take 5.00: declined}], ends: {state: no_}}
  held and let go: {do: [{take 5.00: lost_after}, recover, free], ends: {state: gone, provider.held: 0.00}}
""",
"value may stay where it ends": """
accounts: {tips: {kept: true, says: Ours.}}
outside: {guest: A guest.}
states: {open: {start: true, says: Open.}, closed: {final: true, says: Closed.}}
commands: {tip: {amount: money}, close: {}}
transitions:
  tip: {from: open, when: amount > 0, move: {guest -> tips: amount}}
  close: {from: open, to: closed}
refuse:
  - {in: [open], commands: [tip], when: amount <= 0, says: More than nothing.}
  - {in: [closed], commands: [tip, close], says: It is closed.}
examples:
  closed with tips: {do: [tip 1.00, tip 2.00, close], ends: {state: closed, tips: 3.00, guest: -3.00}}
""",
"one command from everywhere to the start": """
states: {idle: {start: true, says: Idle.}, busy: {says: Busy.}, over: {final: true, says: Over.}}
commands: {work: {}, rest: {}, stop: {}}
transitions:
  work: {from: idle, to: busy}
  rest: {from: busy, to: idle}
  stop: {from: [idle, busy], to: over}
refuse:
  - {in: [idle], commands: [rest], says: It rests.}
  - {in: [busy], commands: [work], says: It works.}
  - {in: [over], commands: [work, rest, stop], says: It is over.}
examples:
  to and fro: {do: [work, rest, work, stop], ends: {state: over}}
""",
"an amount below zero is meant": """
accounts: {has: What it has.}
outside: {world: Elsewhere.}
states: {open: {start: true, says: Open.}, gone: {final: true, says: Gone.}}
commands: {correct: {by: money}, end: {}}
transitions:
  more: {command: correct, from: open, when: by > 0, move: {world -> has: by}}
  less: {command: correct, from: open, when: by < 0 and has + by >= 0, move: {has -> world: -by}}
  end: {from: open, to: gone, when: has == 0}
refuse:
  - {in: [open], commands: [correct], when: by == 0 or has + by < 0, says: Not so.}
  - {in: [open], commands: [end], when: has > 0, says: It has something.}
  - {in: [gone], commands: [correct, end], says: It is gone.}
examples:
  up and down: {do: [correct 5.00, {correct -5.01: refused}, correct -5.00, end], ends: {state: gone}}
""",
"a flag that is remembered": """
facts: {vip: {is: flag, default: false, later: true, says: A good guest.}}
states: {open: {start: true, says: Open.}, gone: {final: true, says: Gone.}}
commands: {name: {}, leave: {}, stay: {}}
transitions:
  name: {from: open, when: not vip, set: {vip: true}}
  stay: {from: open, when: vip}
  leave: {from: open, to: gone}
refuse:
  - {in: [open], commands: [name], when: vip, says: It is one.}
  - {in: [open], commands: [stay], when: not vip, says: Only a good guest.}
  - {in: [gone], commands: [name, leave, stay], says: Gone.}
examples:
  a good guest: {do: [{stay: refused}, name, stay, leave], ends: {state: gone, vip: true}}
""",
"a choice decides where it goes": """
facts: {way: {is: [north, south], says: Where to.}}
states: {here: {start: true, says: Here.}, up: {final: true, says: Up.}, down: {final: true, says: Down.}}
commands: {go: {}}
transitions:
  north: {command: go, from: here, to: up, when: way == "north"}
  south: {command: go, from: here, to: down, when: way != "north"}
refuse: [{in: [up, down], commands: [go], says: It went.}]
examples:
  north: {do: [go], ends: {state: up}}
  south: {given: {way: south}, do: [go], ends: {state: down}}
""",
"one name for one only": """
facts: {plate: {is: text?, unique: true, later: true, says: Its plate.}}
states: {new: {start: true, says: New.}, named: {final: true, says: Named.}}
commands: {name: {plate: text}}
transitions: {name: {from: new, to: named, set: {plate: plate}}}
refuse: [{in: [named], commands: [name], says: It has one.}]
examples:
  two of them: {given: {other: {is: page}}, do: [name AB1, {other.name AB1: refused}, other.name AB2], ends: {state: named, plate: AB1, other.plate: AB2}}
""",
"it ends by itself when its time has come": """
facts: {until: {is: time, says: When.}}
states: {open: {start: true, says: Open.}, over: {final: true, says: Over.}}
commands: {end: {}}
transitions: {end: {from: open, to: over, when: now >= until}}
refuse:
  - {in: [open], commands: [end], when: now < until, says: Not yet.}
  - {in: [over], commands: [end], says: It is over.}
examples:
  in time: {given: {until: 2026-01-02}, do: [{end: refused}, wait 1 day, end], ends: {state: over}}
""",
"a person signs what nobody can undo": """
accounts: {has: What it has.}
outside: {world: Elsewhere., lost: What is gone.}
states: {open: {start: true, says: Open.}, gone: {final: true, says: Gone.}}
commands: {put: {amount: money}, write_off: {}}
signed: [write_off]
transitions:
  put: {from: open, when: amount > 0, move: {world -> has: amount}}
  write_off: {from: open, to: gone, move: {has -> lost: has}}
refuse:
  - {in: [open], commands: [put], when: amount <= 0, says: More than nothing.}
  - {in: [gone], commands: [put, write_off], says: It is gone.}
examples:
  written off: {do: [put 3.00, write_off], ends: {state: gone, lost: 3.00, world: -3.00}}
""",
"it starts at its end": """
states: {note: {start: true, final: true, says: A note that is only there.}}
commands: {}
transitions: {}
""",
"money only comes and goes whole": """
accounts: {box: In it.}
outside: {till: The till.}
states: {empty: {start: true, says: Nothing is in it.}, full: {says: Something is in it.}, sold: {final: true, says: Sold.}}
commands: {fill: {amount: money}, clear: {}, sell: {}}
transitions:
  fill: {from: empty, to: full, when: amount > 0, move: {till -> box: amount}}
  clear: {from: full, to: empty, move: {box -> till: box}}
  sell: {from: empty, to: sold}
refuse:
  - {in: [empty], commands: [fill], when: amount <= 0, says: More than nothing.}
  - {in: [empty], commands: [clear], says: It is empty.}
  - {in: [full], commands: [fill, sell], says: It is full.}
  - {in: [sold], commands: [fill, clear, sell], says: It is sold.}
examples:
  filled twice: {do: [fill 1.00, {sell: refused}, clear, fill 2.00, clear, sell], ends: {state: sold}}
""",
"halves are joined at the end": """
accounts: {one: One half., other: The other half., whole: {kept: true, says: Both.}}
outside: {world: Elsewhere.}
states: {open: {start: true, says: Open.}, joined: {final: true, says: Joined.}}
commands: {put: {one_: flag, amount: money}, join: {}}
transitions:
  put_one: {command: put, from: open, when: one_ and amount > 0, move: {world -> one: amount}}
  put_other: {command: put, from: open, when: not one_ and amount > 0, move: {world -> other: amount}}
  join: {from: open, to: joined, when: one == other, move: {one -> whole: one, other -> whole: other}}
refuse:
  - {in: [open], commands: [put], when: amount <= 0, says: More than nothing.}
  - {in: [open], commands: [join], when: one != other, says: They are not alike.}
  - {in: [joined], commands: [put, join], says: They are joined.}
examples:
  joined: {do: [put 2.00, {join: refused}, put 2.00 one_, join], ends: {state: joined, whole: 4.00}}
""",
"what was refused waits for better times": """
accounts: {has: What it has.}
outside: {world: Elsewhere.}
states: {open: {start: true, says: Open.}, asked: {says: It waits to be paid out.}, gone: {final: true, says: Gone.}}
commands: {put: {amount: money}, leave: {}, pay_out: {}}
patient: [pay_out]
transitions:
  put: {from: [open, asked], when: amount > 0, move: {world -> has: amount}}
  leave: {from: open, to: asked, then: pay_out()}
  pay_out: {from: asked, to: gone, when: has > 0, move: {has -> world: has}}
refuse:
  - {in: [open, asked], commands: [put], when: amount <= 0, says: More than nothing.}
  - {in: [open], commands: [pay_out], says: Nobody asked.}
  - {in: [asked], commands: [leave], says: It was asked.}
  - {in: [asked], commands: [pay_out], when: has == 0, says: There is nothing yet.}
  - {in: [gone], commands: [put, leave, pay_out], says: It is gone.}
examples:
  paid out late: {do: [leave, put 2.00, wait 1 day], ends: {state: gone}}
""",
"a cap whichever way value comes": """
facts: {cap: {is: money?, says: The most.}}
accounts: {in_it: In it.}
outside: {world: Elsewhere.}
states: {open: {start: true, says: Open.}, gone: {final: true, says: Gone.}}
commands: {put: {amount: money}, take: {amount: money}, end: {}}
transitions:
  put: {from: open, when: amount > 0 and (cap == none or in_it + amount <= cap), move: {world -> in_it: amount}}
  take: {from: open, when: 0 < amount <= in_it, move: {in_it -> world: amount}}
  end: {from: open, to: gone, when: in_it == 0}
refuse:
  - {in: [open], commands: [put], when: amount <= 0 or cap != none and in_it + amount > cap, says: Not so much.}
  - {in: [open], commands: [take], when: amount <= 0 or amount > in_it, says: It has less.}
  - {in: [open], commands: [end], when: in_it > 0, says: It is not empty.}
  - {in: [gone], commands: [put, take, end], says: It is gone.}
invariants:
  capped: {says: Never more., always: cap == none or in_it == 0 or in_it <= cap}
examples:
  the cap itself: {given: {cap: 2.00}, do: [put 2.00, {put 0.01: refused}, take 2.00, end], ends: {state: gone}}
""",
}
# fmt: on
