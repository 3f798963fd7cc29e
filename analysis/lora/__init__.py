"""Tables and figures of fine-tuning runs alone."""
