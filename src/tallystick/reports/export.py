"""The journal as a file: CSV for spreadsheets, XES and OCEL 2.0 (JSON) for process mining.

    csv    a line an event
    xes    a trace for each case (an order, unless a card or a payment is asked for), its events in order
    ocel2  an object for each order, card and payment; an event names all that it is about

XES knows one case for an event, so a card's sale and its orders are different traces there. OCEL has all of it at once.
Card numbers are in none of them: cards are named by their ids, and an id that is a number is masked.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TextIO
from xml.sax.saxutils import quoteattr

from tallystick.engine.engine import Engine
from tallystick.errors import Invalid, nearest
from tallystick.reports.asking import HasEngine
from tallystick.reports.events import COLUMNS, OBJECTS, Event, check_case, events
from tallystick.reports.report import harmless

FORMATS = ("csv", "xes", "ocel2")
TEXTS = ("machine", "entity", "transition", "phase", "from_state", "to_state", "currency", "key", "by", "call")


def export(books: HasEngine | Engine, format: str, out: TextIO, *, case: str = "order") -> int:
    """Write every entry of the journal, in its order. Gives how many there were.

    Args:
        format: csv, xes or ocel2.
        out: a text file, or stdout.
        case: what a trace of XES is about: order, card or payment. Events that are about none are left out there.

    Raises:
        Invalid: there is no such format or case.
    """
    if format not in FORMATS:
        raise Invalid(f"{format!r:.60} is no format of an export.{nearest(format, list(FORMATS))}")
    check_case(case)
    engine = books if isinstance(books, Engine) else books.engine
    writers: Mapping[str, Callable[[Iterable[Event], TextIO, str], int]] = {
        "csv": _csv, "xes": _xes, "ocel2": _ocel2,
    }  # fmt: skip
    with engine.store.reading() as reading:
        return writers[format](events(reading, engine.machines), out, case)


def _csv(found: Iterable[Event], out: TextIO, _: str) -> int:
    names = [name for name in COLUMNS if name != "amount_minor"]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*names[:6], "activity", "lifecycle", *names[6:], "amount"])
    count = 0
    for event in found:
        count += 1
        cells = [getattr(event, name) for name in names]
        texts = [harmless(each) if isinstance(each, str) else each for each in cells]
        writer.writerow([*texts[:6], event.activity, event.lifecycle, *texts[6:], event.amount])
    return count


# XES, IEEE 1849-2016


XES = """<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1849-2016" xmlns="http://www.xes-standard.org/">
  <extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>
  <extension name="Time" prefix="time" uri="http://www.xes-standard.org/time.xesext"/>
  <extension name="Lifecycle" prefix="lifecycle" uri="http://www.xes-standard.org/lifecycle.xesext"/>
  <extension name="Organizational" prefix="org" uri="http://www.xes-standard.org/org.xesext"/>
  <global scope="trace"><string key="concept:name" value="case"/></global>
  <global scope="event">
    <string key="concept:name" value="activity"/>
    <date key="time:timestamp" value="1970-01-01T00:00:00.000+00:00"/>
    <string key="lifecycle:transition" value="complete"/>
  </global>
  <classifier name="activity" keys="concept:name lifecycle:transition"/>
"""


def _xes(found: Iterable[Event], out: TextIO, case: str) -> int:
    traces: dict[str, list[Event]] = {}
    for event in found:
        if (name := event.about(case)) is not None:
            traces.setdefault(name, []).append(event)
    out.write(XES)
    for name, listed in traces.items():
        out.write(f"  <trace>\n    {_attribute('string', 'concept:name', name)}\n")
        for event in listed:
            out.write(f"    <event>{''.join(_attributes(event))}</event>\n")
        out.write("  </trace>\n")
    out.write("</log>\n")
    return sum(map(len, traces.values()))


def _attributes(event: Event) -> Iterable[str]:
    yield _attribute("string", "concept:name", event.activity)
    yield _attribute("string", "lifecycle:transition", event.lifecycle)
    yield _attribute("date", "time:timestamp", event.occurred_at.replace("Z", "+00:00"))
    if event.at != event.occurred_at:
        yield _attribute("date", "recorded", event.at.replace("Z", "+00:00"))
    yield _attribute("int", "seq", str(event.seq))
    yield _attribute("string", "amount", event.amount)  # text: a float would not hold it
    if event.by:
        yield _attribute("string", "org:resource", event.by)
    for name in (*OBJECTS, *TEXTS):
        if (value := getattr(event, name)) is not None and name != "by":
            yield _attribute("string", name, value)


def _attribute(kind: str, key: str, value: str) -> str:
    return f'<{kind} key="{key}" value={quoteattr(value)}/>'


# OCEL 2.0, as JSON


def _ocel2(found: Iterable[Event], out: TextIO, _: str) -> int:
    objects: dict[tuple[str, str], None] = {}
    activities: dict[str, None] = {}
    count = 0
    out.write('{"events": [')
    for count, event in enumerate(found, 1):
        about = [(kind, id) for kind in OBJECTS if (id := event.about(kind)) is not None]
        objects.update(dict.fromkeys(about))
        activities[event.activity] = None
        line = {
            "id": f"e{event.seq}",
            "type": event.activity,
            "time": event.occurred_at,
            "attributes": [{"name": name, "value": value} for name, value in _values(event)],
            "relationships": [{"objectId": _object(*each), "qualifier": each[0]} for each in about],
        }
        out.write(("," if count > 1 else "") + "\n" + json.dumps(line, ensure_ascii=False))
    named = [{"name": "lifecycle", "type": "string"}, {"name": "amount", "type": "string"},
             {"name": "recorded", "type": "time"}, *({"name": name, "type": "string"} for name in TEXTS)]  # fmt: skip
    rest = {
        "objects": [{"id": _object(*each), "type": each[0], "attributes": [], "relationships": []} for each in objects],
        "eventTypes": [{"name": each, "attributes": named} for each in activities],
        "objectTypes": [{"name": each, "attributes": []} for each in OBJECTS],
    }
    out.write(f"\n], {json.dumps(rest, ensure_ascii=False)[1:]}\n")
    return count


def _values(event: Event) -> Iterable[tuple[str, str]]:
    yield "lifecycle", event.lifecycle
    if event.at != event.occurred_at:
        yield "recorded", event.at
    yield "amount", event.amount
    for name in TEXTS:
        if (value := getattr(event, name)) is not None:
            yield name, value


def _object(kind: str, id: str) -> str:
    """An order and a payment may have one name."""
    return f"{kind}:{id}"
