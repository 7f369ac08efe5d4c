# One command to check everything: `just check`.

python := ".venv/bin/python"

# Everything that has to hold before a change lands
check:
    .ci/run

install:
    python3 -m venv .venv
    .venv/bin/pip install --quiet -e '.[dev]'

# The tests of the README; `just test -m slow` for the long ones, which `just check` runs too
test *args:
    {{python}} -m pytest -n auto {{args}}

coverage:
    {{python}} -m pytest --cov --cov-report=term-missing:skip-covered

demo:
    .venv/bin/tallystick demo

# How fast it is, against code by hand; `just bench --list` says what is measured
bench *args:
    {{python}} -m benchmarks {{args}}

# Every proof, with its figures; `just evidence --release --write` before a release
evidence *args:
    {{python}} docs/evidence.py {{args}}

# The documentation as a site, in site/index.html
site:
    {{python}} -m sphinx -W --keep-going -q -b html docs site

# Draw the machines with other libraries too, before a release; its head says what that needs
pictures:
    {{python}} docs/compare_pictures.py

# Write anew what is generated in README and docs
docs:
    {{python}} docs/generate.py
