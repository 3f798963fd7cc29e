"""Train every client alone: the reference, with the schedule and epochs of all other methods."""

from __future__ import annotations

from harness.workloads.personalized.methods.rule import ClubRule


class Local(ClubRule):
    """Be the rule as it stands."""
