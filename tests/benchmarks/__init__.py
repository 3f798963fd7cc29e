"""Timings, never asserted: python -m tests.benchmarks.run, or make bench."""
