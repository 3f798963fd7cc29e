"""Federated multi-task vision: merge tasks, split them by affinity, compare what each way costs."""
