"""The workload `unlearning`: what it costs a recommender to forget users who ask for it."""
