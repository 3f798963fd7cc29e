"""Measure programs of other frameworks with two lines more: Flower, Transformers, Lightning.

Each module imports its framework, which is an extra of this package, and nothing else does.
"""
