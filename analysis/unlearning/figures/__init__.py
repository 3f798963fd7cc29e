"""Draw what only unlearning runs have."""
