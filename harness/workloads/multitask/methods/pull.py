"""Say how hard tasks pull at a shared encoder; plain data, to be listed and checked at once."""

from __future__ import annotations

from dataclasses import dataclass

from models.multitask.weighting import Balanced


@dataclass(frozen=True)
class Pull:
    """Let every task pull equally hard with `balance`, those of fine structure `detail` times.

    With `logs` tasks descend their log losses.
    """

    balance: bool = True
    detail: float = 1.0
    logs: bool = False

    @property
    def rule(self) -> Balanced | None:
        """Return how clients depart from plain descent."""
        return Balanced(self.detail, self.logs) if self.balance else None
