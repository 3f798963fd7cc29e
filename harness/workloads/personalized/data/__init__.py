"""Labelled images for clients, and public ones that no client owns."""
