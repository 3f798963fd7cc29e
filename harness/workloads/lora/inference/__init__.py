"""Measure what a fine-tuned model costs when it answers."""
