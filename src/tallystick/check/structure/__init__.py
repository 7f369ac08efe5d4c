"""What can be seen on the pages themselves: nothing is run, everything is asked of the real guards.

Keeps: what is found has values that show it, and those values can occur. What might occur, as far as is known here, is
given the benefit of the doubt.

Read in this order: `boundary_values` (which values make a difference), `trials` (what each state answers to each
command with them), `projection` and `reachable` (which of that can occur), `witnesses` (one case for each observation).
Then the checks:

    `states`        can each be reached, left, brought to an end, and does it answer every command
    `guards`        exactly one answer for every value
    `moves`         what is moved is there, and nothing is left behind at an end
    `accounts`      value can leave them again, by the commands that should move it
    `unused`        facts, commands and arguments that nothing uses
    `call_results`  what a call results in, and a number that is given, is written down and handed on
    `provider_half` what is asked of the provider is what is booked, and it is told what it has to be told
    `follow_ups`    what is queued is taken and comes to an end
    `shares`        what parts are given together is what was asked
    `limits`        a limit counts what is on its way, too
    `unasked`       of all value somebody asks: an invariant, an end, an example, or a question of `check`
    `earlier`       all of an older version has its place, where the page says what becomes of it

`inspect` asks them all; `check.report` calls it.
"""
