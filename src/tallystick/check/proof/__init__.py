"""What holds for all amounts, by a solver. Everything here needs it: `pip install 'tallystick[check]'`.

Keeps: a proof is about the Python that the core runs, translated term by term; what the solver does not know is a
finding, never a proof.

Read in this order: `terms` (expressions and values), `executions` (what a command does), `solver`, `lifecycle` (all
steps of one entity), `state_invariants` (what holds in each state). Then what is proved, a file for each:

    `guards`       exclude each other, and cover every value
    `accounts`     nothing below zero, no move of less than nothing, nothing left at an end
    `invariants`   every step keeps those of the pages
    `transfers`    what leaves one entity arrives in the other
    `ends`         every life can be brought to an end; by a `strategy`, where there is one

`certificate` says in words what was proved to hold in each state. `prove` does it all; `check.report` calls it.
"""
