"""Examine a host: gather facts, judge them, and put the outcome into words."""
