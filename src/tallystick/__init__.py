"""Declared state machines that know about money."""
