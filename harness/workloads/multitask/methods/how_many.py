"""Say into how many groups MAS-plus may split; plain data, to be listed and checked at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HowMany:
    """Bound the number of groups.

    With `pays` there are as many, up to `splits`, as lower the losses most for their cost, which
    may be one; a decoder costs `decoder_cost` times as much as the encoder. Without, there are
    `splits` groups, chosen as in MAS.
    """

    splits: int
    pays: bool
    decoder_cost: float
