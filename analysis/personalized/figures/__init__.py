"""Figures of runs of personalised models."""
