"""What one client does in a round, and how its model is judged."""
