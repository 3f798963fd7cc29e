"""Foretell time, memory and energy of a run, and settle how its training steps are executed."""
