"""Provide the benchmark's data: a generated multi-task data set in memory-mapped files."""
