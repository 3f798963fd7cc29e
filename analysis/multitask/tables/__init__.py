"""Tables of multi-task runs."""
