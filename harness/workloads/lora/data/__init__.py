"""Rows of prompts and answers: generated ones, and files by path."""
