"""Mutated inputs for every parser: none may crash one, and none may make it invent a number."""
