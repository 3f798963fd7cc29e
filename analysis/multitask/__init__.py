"""What only multi-task runs show: affinities, splits, tasks, published MAS, inference."""

REFERENCE = "independent"
"""The method that these figures show the others beside: every task trained on its own."""
