"""Carry out a run: its order, its cells, what is measured while they train, and its limits."""
