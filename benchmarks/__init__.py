"""How fast, as ratios in one run: `python -m benchmarks`, or one part of it, such as `python -m benchmarks.decide`."""
