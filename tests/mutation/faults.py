"""Faults planted in the core's Python: a small change each, of the kind a hurried hand makes, and who finds it.

`old` stands exactly once in the file. `by` are the test files that have to fail, the likeliest first.
"""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    name: str
    file: str
    old: str
    new: str
    by: tuple[str, ...]


GUARDS = ("definition/test_expression.py", "core/test_decide.py")
CORE = ("core/test_decide.py", "core/test_fast_path.py", "core/test_properties.py")
FAST_PATH = ("core/test_decide.py", "core/test_fast_path.py")
ENGINE = ("engine/test_engine.py", "books/test_books.py")
TOLD = ("engine/test_balances.py",)
LATE = ("engine/test_late_answers.py",)
CHANGED = ("engine/test_verify.py", "engine/test_changed_rows.py")

# fmt: off
FAULTS = [
    # expression: what a guard means
    Fault("minus_adds", "definition/expression.py", "{'+' if isinstance(op, ast.Add) else '-'} {right_code})", "+ {right_code})", GUARDS),
    Fault("less_is_at_most", "definition/expression.py", 'ast.Lt: "<", ', 'ast.Lt: "<=", ', GUARDS),
    Fault("at_least_is_more", "definition/expression.py", 'ast.GtE: ">=",', 'ast.GtE: ">",', GUARDS),
    Fault("not_in_is_in", "definition/expression.py", 'ast.NotIn: "not in"', 'ast.NotIn: "in"', GUARDS),
    Fault("or_is_and", "definition/expression.py", "(' and ' if isinstance(op, ast.And) else ' or ')", "' and '", GUARDS),
    Fault("not_is_lost", "definition/expression.py", 'f"(not {self._flag(operand, known)})"', 'f"({self._flag(operand, known)})"', GUARDS),
    Fault("minus_sign_is_lost", "definition/expression.py", 'return type_, f"(-{code})"', 'return type_, code', GUARDS),
    Fault("chains_forget_the_middle", "definition/expression.py", "            left = right\n        return FLAG", "        return FLAG", GUARDS),
    Fault("units_mix", "definition/expression.py", 'if kinds == {"money", "whole"}:', 'if kinds == {"money", "nothing"}:', GUARDS),
    Fault("secrets_compare", "definition/expression.py", 'if type_.kind == "secret":\n                raise', 'if type_.kind == "":\n                raise', GUARDS),
    Fault("missing_may_be_added", "definition/expression.py", "        if type_.optional:\n            raise", "        if not type_:\n            raise", GUARDS),
    Fault("missing_counts_as_known", "definition/expression.py", "frozenset([name]) if isinstance(op, ast.NotEq) == when else frozenset()", "frozenset([name])", GUARDS),
    # decide: whether a command is taken
    Fault("driven_by_anybody", "core/decide.py", "if driver is None and machine.commands[command].driven:", "if driver and machine.commands[command].driven:", CORE),
    Fault("currencies_mix", "core/decide.py", "driver.currency != entity.currency", "driver.currency == ''", CORE),
    Fault("first_guard_wins", "core/decide.py", "if len(firing) != 1:\n        if firing:", "if not firing:\n        if firing:", CORE),
    Fault("doubt_is_no_hindrance", "core/decide.py", "if entity.calls:\n        blocked", "if entity.calls < 0:\n        blocked", CORE),
    Fault("ends_while_in_flight", "core/decide.py", "if entity.calls and firing[0].ends:", "if entity.calls and not firing[0].ends:", CORE),
    Fault("not_cut", "core/decide.py", "if most < wanted:", "if most > wanted:", CORE),
    Fault("driven_with_amounts_uncut", "core/decide.py", "step.args = {**step.args, step.partial: driven.args[driven.partial]}", "step.args = {**step.args}", CORE),
    Fault("driven_twice", "core/decide.py", "if any(other.entity.ref == (drive.machine, id) for other in intent.steps):", "if not intent.steps:", CORE),
    Fault("below_zero", "core/decide.py", "if (after and min(after.values()) < 0) or", "if (after and min(after.values()) < -100) or", CORE),
    Fault("negative_moves", "core/decide.py", "(step.amounts and min(step.amounts) < 0):", "(step.amounts and min(step.amounts) < -1):", CORE),
    Fault("no_limit", "core/decide.py", "if sum(after.values()) > LIMIT:", "if sum(after.values()) < -LIMIT:", CORE),
    Fault("ends_with_value", "core/decide.py", "if row.final or (row.target is None and", "if (row.target is None and", CORE),
    Fault("declined_with_value", "core/decide.py", "if row.ends and row.transition.otherwise:", "if row.ends and not row.transition.otherwise:", CORE),
    Fault("drawn_before_it_comes", "core/decide.py", "if intent.asked is not None and min(_sources(", "if intent.asked is None and min(_sources(", CORE),
    Fault("least_is_any", "definition/declared.py", "if each is not None])", "if each is not None][:1])", (*CORE, "books/test_limits.py")),
    # steps: what the provider decides for a caller
    Fault("decided_anew_each_time", "engine/keys.py", "decided.get(flag, ability in work.abilities)", "ability in work.abilities", ("books/test_keep_hold.py",)),
    Fault("provider_overrules_the_caller", "engine/keys.py", "return {**filled, **{name: value for name, value in command.args.items() if value is not None}}", "return {**command.args, **filled}", ("books/test_keep_hold.py",)),
    Fault("what_was_decided_is_not_kept", "core/resolve.py", "(value is not False or name in declared.by_provider)", "value is not False", ("books/test_keep_hold.py",)),
    # resolve: what an answer does
    Fault("part_confirmed_as_whole", "core/resolve.py", "        done = tuple(outcome.amount for _ in done)", "        done = tuple(done)", CORE + ENGINE),
    Fault("rest_stays_in_doubt", "core/resolve.py", "        if whole > part\n", "        if whole < part\n", CORE + ENGINE),
    Fault("nothing_is_given_back", "core/resolve.py", "postings = tuple([Posting(IN_DOUBT, source, amount) for (source, _), amount in lines if amount])\n    state", "postings = tuple([Posting(IN_DOUBT, source, amount) for (source, _), amount in lines if not amount])\n    state", CORE + ENGINE),
    Fault("unavailable_is_declined", "core/resolve.py", "row.transition.otherwise if declined and row.transition.otherwise", "row.transition.otherwise if row.transition.otherwise", CORE + ENGINE),
    Fault("unknown_is_no", "core/resolve.py", "if odd or outcome.result is Result.UNKNOWN:", "if odd:", CORE + ENGINE),
    Fault("confirmed_too_much", "core/resolve.py", "if outcome.amount == asked or (partial and 0 <= outcome.amount <= asked):", "if partial or outcome.amount == asked:", CORE + ENGINE),
    Fault("call_stays_counted", "core/resolve.py", "calls=entity.calls - 1, ", "", CORE + ENGINE),
    Fault("change_stays_open", "core/resolve.py", "changing=None if row.changes else entity.changing)", "changing=entity.changing)", CORE + ENGINE),
    Fault("nothing_confirmed_is_yes", "core/resolve.py", "outcome.result is Result.CONFIRMED and outcome.amount == 0:", "outcome.result is Result.DECLINED and outcome.amount == 0:", CORE + ENGINE),
    Fault("revision_stands_still", "core/resolve.py", "facts, accounts, entity.calls, entity.changing, entity.hash,", "entity.facts, accounts, entity.calls, entity.changing, entity.hash,", CORE + ENGINE),
    Fault("zero_postings", "core/resolve.py", "zip(row.lines, step.amounts, strict=True) if amount]", "zip(row.lines, step.amounts, strict=True)]", CORE + ENGINE),
    Fault("state_changes_when_asked", "core/resolve.py", "changing=row.name if row.changes else entity.changing,", "changing=entity.changing,", CORE + ENGINE),
    Fault("fast_path_below_zero", "core/fast_path.py", 'wrong.append(f"y{number} < 0")', 'wrong.append(f"y{number} < -100")', FAST_PATH),
    Fault("fast_path_first_guard_wins", "core/fast_path.py", "!= 1: return None", "< 1: return None", FAST_PATH),
    Fault("fast_path_doubt_is_no_hindrance", "core/fast_path.py", "if entity.calls or (", "if (", FAST_PATH),
    Fault("fast_path_ends_with_value", "core/fast_path.py", "wrong += held", "wrong += []", FAST_PATH),
    Fault("fast_path_not_cut", "core/fast_path.py", "< a[{transition.partial!r}]: return None", "< 0: return None", FAST_PATH),
    Fault("fast_path_never_refused", "core/fast_path.py", "if refusal.guard else True}: return None", "if refusal.guard else True}: pass", FAST_PATH),
    Fault("fast_path_zero_postings", "core/fast_path.py", "x[0])),) if x[0] else ()", "x[0])),) if True else ()", FAST_PATH),
    Fault("fast_path_keeps_secrets", "core/fast_path.py", "for name in declared.storable:", "for name in declared.arguments:", FAST_PATH),
    Fault("follow_up_with_old_amounts", "core/resolve.py", "    _queue(plan, after, row, args, outcome)\n\n\ndef _queue(", "    _queue(plan, attrs.evolve(after, accounts=entity.accounts), row, args, outcome)\n\n\ndef _queue(", CORE + ENGINE),
    # engine: once, and never blindly
    Fault("failure_is_no", "engine/calls/ask_provider.py", 'return Outcome(Result.UNKNOWN, text=f"{type(error).__name__} in provider', 'return Outcome(Result.DECLINED, text=f"{type(error).__name__} in provider', ENGINE),
    Fault("blind_resend", "engine/engine.py", "        if row.attempts:\n            found =", "        if not row.id:\n            found =", ENGINE),
    Fault("sent_for_ever", "engine/calls/recovery.py", "if row.attempts < 2 or", "if row.attempts >= 0 or", ENGINE),
    Fault("no_grace", "engine/engine.py", "stamp(self._clock() - grace)", "stamp(self._clock() + grace)", ENGINE),
    Fault("never_parked", "engine/queue/queue.py", 'return "parked" if attempts >= most else', 'return "parked" if attempts < 0 else', ENGINE),
    Fault("waits_no_longer", "engine/queue/queue.py", "BACKOFF * 2 ** min(attempts - 1, 20)", "BACKOFF * 2 ** min(0, 20)", ENGINE),
    Fault("said_by_nobody", "engine/calls/by_hand.py", "if not isinstance(given, str) or not 0 < len(given) <= LONGEST or not given.isprintable():", "if not isinstance(given, str):", ENGINE),
    Fault("hold_without_a_name", "engine/calls/by_hand.py", 'row.verb not in REPEATABLE and not reference:', 'row.verb not in REPEATABLE and reference:', ENGINE),
    Fault("another_may_reuse_a_key", "engine/keys.py", "if seen.fingerprint != mark:", "if not mark:", ENGINE),
    Fault("seen_is_done_again", "engine/steps.py", "        if again is None:\n            return receipt, None", "        if receipt is None:\n            return receipt, None", ENGINE),
    Fault("secret_is_deferred", "engine/queue/rows.py", 'if type_.kind == "secret" and request.args[name] is not None:', 'if type_.kind == "secret" and request.args[name] is None:', ENGINE),
    Fault("closed_twice", "engine/calls/end_call.py", '    if row.state != "open":\n        return _too_late', '    if row.state == "":\n        return _too_late', ENGINE),
    Fault("old_finding_ends_new_attempt", "engine/calls/end_call.py", "if attempt not in (None, (row.attempts, row.asked)) and (found or", "if attempt is None and (found or", ENGINE),
    Fault("stale_no_ends_the_next", "engine/calls/end_call.py", "(found or outcome.result is not Result.CONFIRMED)", "found", ENGINE),
    Fault("late_answer_is_not_compared", "engine/calls/end_call.py", "(by or found or _late(work, row))", "(by or found)", ENGINE),
    Fault("sleeper_sends", "engine/engine.py", "        if not self._is_prompt(call):\n            claimed", "        if not call.id:\n            claimed", ENGINE),
    Fault("claimed_for_two", "engine/calls/end_call.py", "if other is None and (by or found or _late(work, row)):", "if other is None and by:", ENGINE),
    Fault("claimed_by_two", "engine/calls/end_call.py", 'if row.state != "open" or (row.attempts, row.asked) != attempt:', 'if row.state != "open":', ENGINE),
    # balances: what a provider says of one
    Fault("doubt_is_believed", "engine/balances.py", "if entity.calls or not _can_observe(", "if not _can_observe(", TOLD),
    Fault("old_answer_is_believed", "engine/balances.py", "max(asked, default=0) == revision and", "bool(asked) and", TOLD),
    Fault("other_balances_are_forgotten", "engine/balances.py", "and not any(meanwhile)", "and meanwhile is not None", TOLD),
    Fault("earlier_sending_is_believed", "engine/balances.py", "or attempt != (row.attempts, row.asked):", "or attempt is None:", TOLD),
    Fault("what_was_asked_is_never_old", "engine/balances.py", "fresh = now.revision == entity.revision and", "fresh = now.revision >= entity.revision and", TOLD),
    Fault("asked_again_and_again", "engine/balances.py", "if ref in (asked or ()) or", "if ref in () or", TOLD),
    Fault("asked_about_anything", "engine/balances.py", "and bool(looked & moved)", "and bool(moved)", TOLD),
    Fault("asked_while_open", "engine/balances.py", "if entity is None or entity.calls or not", "if entity is None or not", TOLD),
    # end_call: what is heard after the end
    Fault("late_yes_is_lost", "engine/calls/end_call.py", "    otherwise = confirmed\n", "    otherwise = False\n", LATE),
    Fault("late_no_is_lost", "engine/calls/end_call.py", "otherwise = heard and last and outcome.result is not Result.UNKNOWN", "otherwise = False", LATE),
    Fault("earlier_no_counts", "engine/calls/end_call.py", "otherwise = heard and last and outcome", "otherwise = heard and outcome", LATE),
    Fault("a_look_up_is_an_answer", "engine/calls/end_call.py", "otherwise = heard and last and outcome", "otherwise = last and outcome", LATE),
    Fault("done_twice_is_once", "engine/calls/end_call.py", "named.isdisjoint(row.ids)", "False", LATE),
    Fault("asked_again_after_a_late_yes", "engine/steps.py", "again.late is not None and again.unclear", "again.late is None and again.unclear", LATE),
    # queue: what was changed by hand
    Fault("changed_is_done", "engine/queue/queue.py", "        if is_changed(row):\n            return _changed(row)\n", "", CHANGED),
    Fault("changed_is_tried_again", "engine/queue/rows.py", "    if is_changed(row):\n        raise", "    if row.key == '':\n        raise", CHANGED),
    Fault("changed_is_sealed_anew", "store/rows.py", "hash=CHANGED if is_changed(row) else None", "hash=None", CHANGED),
    Fault("changed_ends_with_its_entity", "engine/journal.py", "mine and not is_changed(row) and", "mine and", CHANGED),
    Fault("changed_call_moves_what_it_says", "engine/engine.py", 'if row.state == "open" and is_changed(row):', "if row.state == '':", CHANGED),
    Fault("changed_call_is_made_again", "engine/steps.py", "again is not None and is_changed(again)", "False", CHANGED),
]
# fmt: on
