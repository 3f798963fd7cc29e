"""Show runs of personalised models."""
