"""Where images come from: each module plans a store, and its jobs make the pictures."""
