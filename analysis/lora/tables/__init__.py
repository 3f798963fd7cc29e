"""Tables of fine-tuning runs."""
