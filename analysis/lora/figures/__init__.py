"""Figures of fine-tuning runs."""
