"""Carry frames with Flower; the only place where it is imported."""
