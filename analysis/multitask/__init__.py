"""What only multi-task runs show: affinities, splits, tasks, published MAS, inference."""
