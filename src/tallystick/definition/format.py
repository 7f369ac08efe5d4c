"""The format of a page, as data: which keys there are, and what may stand under each (`shapes`)."""

from __future__ import annotations

import warnings
from typing import Any

from tallystick.definition.shapes import (
    FLAG,
    NAME,
    WHOLE,
    Either,
    FileFaults,
    Key,
    ListOf,
    Located,
    MapOf,
    OneOrMore,
    Record,
    Text,
)

_TYPE = Either(single=Text(), many=ListOf(NAME))
_CALL = OneOrMore(Text())

# fmt: off
FACT = Record({
    "is":       Key(_TYPE, "its type: money, count, text, flag, number, time, [choices], or a machine", required=True),
    "optional": Key(FLAG, "may be missing, as `?` behind a type says"),
    "default":  Key(Text(), "what it is if it is not given"),
    "later":    Key(FLAG, "not given at creation: a transition sets it"),
    "unique":   Key(FLAG, "no two entities of one value type have the same"),
    "indexed":  Key(FLAG, "entities are found by it"),
    "in":       Key(ListOf(NAME), "of a link: the states in which one of these takes something that links to it"),
    "same":     Key(ListOf(NAME), "of a link: facts that both have; their values are the same"),
    "says":     Key(Text(), "what it means, for people"),
})
ARGUMENT = Record({
    "is":       Key(_TYPE, "its type", required=True),
    "provider": Key(NAME, "a flag that is left out is true if the provider has this ability"),
})
TRANSITION = Record({
    "command": Key(OneOrMore(NAME), "the command that it answers, if that has another name; or several"),
    "from":    Key(OneOrMore(NAME), "the state it leaves, or several", required=True),
    "to":      Key(NAME, "the state it leads to; without it the state stays"),
    "else":    Key(NAME, "the state a declined call leads to; without it the state stays"),
    "when":    Key(Text(), "its guard; without it, always"),
    "drive":   Key(_CALL, "command(s) given to linked entities in the same commit: link.command(argument=…)"),
    "ask":     Key(Text(), "the provider's verb, with its arguments if they have other names"),
    "partial": Key(NAME, "the argument of which the provider may confirm less"),
    "upto":    Key(OneOrMore(Text()), "that argument is cut down to this, or to the least of these, before asking"),
    "move":    Key(MapOf(Text(), Text()), "what moves: source -> target: amount"),
    "set":     Key(MapOf(NAME, Text()), "facts that change: fact: value, or outcome.reference"),
    "alike":   Key(FLAG, "given to every entity with the same unique fact too; the provider is asked once"),
    "then":    Key(_CALL, "command(s) queued in the same commit: command(…), each part.command(…); with `at expires` or"
                          " `after 30 days` behind it, it is due later; at last `when` and a guard"),
})
EXAMPLE = Record({
    "after": Key(Text(), "another example of this page, which is lived first"),
    "given": Key(MapOf(NAME, Either(single=Text(), mapping=MapOf(NAME, Text()))),
                 "facts, and who else is there: a link as an example of its page, or {is: machine, fact: value}"),
    "do":    Key(ListOf(Either(single=Text(), mapping=MapOf(Text(), OneOrMore(Text())))),
                 "the steps, such as settle 15.00, or {settle 15.00: declined}: what comes of it", required=True),
    "ends":  Key(MapOf(Text(), Text()), "state, accounts and facts at the end; an account left out is empty",
                 required=True),
})
MIGRATION = Record({
    "states":   Key(MapOf(NAME, NAME), "old: new, of each that has another name or is gone"),
    "accounts": Key(MapOf(NAME, NAME), "old: new; what stands on the old one moves to the new one"),
    "facts":    Key(MapOf(NAME, NAME), "old: new"),
})
DEFINITION = Record({
    "machine":     Key(NAME, "its name", required=True),
    "version":     Key(WHOLE, "counts up whenever the behaviour changes", required=True),
    "summary":     Key(Text(), "one sentence", required=True),
    "facts":       Key(MapOf(NAME, Either(single=Text(), many=ListOf(NAME), mapping=FACT)),
                       "what an entity knows besides its state"),
    "accounts":    Key(MapOf(NAME, Either(single=Text(), mapping=Record({
                           "says": Key(Text(), "what value on it means", required=True),
                           "kept": Key(FLAG, "value may stay on it in a final state"),
                           "indexed": Key(FLAG, "entities on which value stands here are found by that")}))),
                       "where value stands inside an entity; never negative"),
    "outside":     Key(MapOf(NAME, Either(single=Text(), mapping=Record({
                           "says": Key(Text(), "what value from it or to it means", required=True),
                           "by":   Key(Either(many=ListOf(NAME), mapping=MapOf(NAME, NAME)),
                                       "all commands that move value here; as command: figure, where it counts")}))),
                       "where value comes from or goes to"),
    "usual":       Key(ListOf(NAME), "the states of the usual way, in order; pictures show it as a straight line"),
    "groups":      Key(MapOf(Text(), ListOf(NAME)), "headings over states that belong together, for pictures"),
    "states":      Key(MapOf(NAME, Record({
                           "start": Key(FLAG, "an entity begins here"),
                           "final": Key(FLAG, "no way leads out, and nothing is held here"),
                           "goes_on": Key(Text(), "true, or a guard: whoever comes here has a follow-up queued"),
                           "says":  Key(Text(), "what it means, for people", required=True)})),
                       "all states", required=True),
    "commands":    Key(MapOf(NAME, MapOf(NAME, Either(single=Text(), many=ListOf(NAME), mapping=ARGUMENT))),
                       "what may be asked: {argument: type}", required=True),
    "driven":      Key(ListOf(NAME), "commands that only another machine's transition may give"),
    "patient":     Key(ListOf(NAME), "commands that wait in the queue while a guard refuses them"),
    "signed":      Key(ListOf(NAME), "commands that need who gives them (by) and why (reason)"),
    "once":        Key(ListOf(NAME), "commands that are tried once when they follow another, and dropped if refused"),
    "owed":        Key(ListOf(NAME), "commands that a person hears of if they follow another and are never done"),
    "customer":    Key(ListOf(NAME), "commands that its customer is behind; reports count from the last of them"),
    "transitions": Key(MapOf(NAME, TRANSITION), "all transitions, by name", required=True),
    "refuse":      Key(ListOf(Record({
                           "says":     Key(Text(), "why, for people", required=True),
                           "in":       Key(ListOf(NAME), "states", required=True),
                           "commands": Key(ListOf(NAME), "commands", required=True),
                           "when":     Key(Text(), "a guard: only these values are refused; without it, all"),
                           "first":    Key(FLAG, "looked at before all others, which need not exclude it"),
                           "over":     Key(FLAG, "a follow-up that is refused so is dropped: it is done or gone")})),
                       "what is refused on purpose"),
    "invariants":  Key(MapOf(NAME, Record({
                           "says":   Key(Text(), "what it means, for people", required=True),
                           "sum":    Key(MapOf(NAME, Text()), "name: machine.fact.account, over what links here"),
                           "always": Key(Text(), "what is true between any two commands", required=True)})),
                       "what is true across machines"),
    "examples":    Key(MapOf(Text(), EXAMPLE), "short lives, by name, that `check` lives and compares"),
}, numbered={
    "from version": Key(MIGRATION, "where what that version declared has its place here; {}: all keeps its name"),
})
# fmt: on


def parse(text: str, faults: FileFaults) -> Located | None:
    """The page in `text`, checked against the format. Faults are collected; the page may still be usable."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about an anchor that is used twice; every anchor is a fault below
            node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        faults.add(Located(None, line, column), f"this is not YAML: {error.problem or error.context}")
        return None
    except (YAMLError, RecursionError) as error:
        faults.add(Located(None, 1, 1), f"this is not YAML: {' '.join(str(error).split())}")
        return None
    if node is None:
        faults.add(Located(None, 1, 1), "the page is empty")
        return None
    return DEFINITION.read(node, faults)


def json_schema() -> dict[str, Any]:
    """The format of a page as JSON Schema (draft 2020-12), for editors."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "tallystick machine"}
    return head | DEFINITION.schema()
