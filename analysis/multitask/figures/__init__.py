"""Figures of multi-task runs, one module each, as in `analysis.core.figures`."""
