"""Show what only unlearning runs have: requests, what they cost, and what is still known."""
