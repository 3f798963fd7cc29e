"""What can be trained and measured; the rest of the harness knows its interface alone."""
