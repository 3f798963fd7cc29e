"""Affinity between tasks: how it is measured and averaged."""
