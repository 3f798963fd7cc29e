"""Deal rows to clients: by category as Dirichlet draws it, or at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def deal_out(
    kinds: Sequence[str], clients: int, evenness: float | None, random: np.random.Generator
) -> list[list[int]]:
    """Return the rows of every client by number; each row has one owner.

    With `evenness` α every kind is divided by shares drawn from Dirichlet(α, …, α) over clients
    (Yurochkin et al., ICML 2019); None deals all rows evenly at random.
    """
    found: list[list[int]] = [[] for _ in range(clients)]
    if evenness is None:
        for place, row in enumerate(random.permutation(len(kinds))):
            found[place % clients].append(int(row))
        return found
    for kind in dict.fromkeys(kinds):
        rows = [place for place, own in enumerate(kinds) if own == kind]
        drawn = [rows[i] for i in random.permutation(len(rows))]
        shares = np.cumsum(random.dirichlet([evenness] * clients))
        ends = [round(share * len(rows)) for share in shares]
        for client, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
            found[client] += drawn[start:end]
    return found
