"""Say how hard tasks pull at a shared encoder; plain data, to be listed and checked at once."""

from __future__ import annotations

from dataclasses import dataclass

from harness.workloads.multitask.training.local_rule import Balanced


@dataclass(frozen=True)
class Pull:
    """Let every task pull equally hard with `balance`, those of fine structure `detail` times."""

    balance: bool = True
    detail: float = 1.0

    @property
    def rule(self) -> Balanced | None:
        """Return how clients depart from plain descent."""
        return Balanced(self.detail) if self.balance else None
