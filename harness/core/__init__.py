"""What all stands on: errors, the description of result files; it imports nothing heavy."""
