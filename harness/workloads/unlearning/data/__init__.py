"""Interactions of users with items: generated, or read from files in their own forms."""
