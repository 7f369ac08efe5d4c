"""Proofs for all amounts. Everything here needs the solver; `tallystick.check.proof` is the way in."""
