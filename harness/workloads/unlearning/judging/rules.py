"""State the rules by which costs and completeness are judged; no numpy, so that reports use them.

Costs: `expected_shards` (Bourtoule et al., S&P 2021), `sliced_share`, `break_even`. Completeness:
`forgotten`, in words that never call an approximate method forgotten when an attack succeeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

NEVER = math.inf


def expected_shards(shards: int, requests: int) -> float:
    """Return how many shards so many users touch who are spread evenly: K(1 - (1 - 1/K)^R)."""
    return shards * (1.0 - (1.0 - 1.0 / shards) ** requests)


def sliced_share(slices: int) -> float:
    """Return what a request costs on average of a shard that keeps a checkpoint per slice."""
    return (2 * slices + 1) / (3 * slices)


def break_even(setup: float, request: float, other_setup: float, other_request: float) -> float:
    """Return from how many requests on this has cost no more than the other; infinite if never."""
    if other_request <= request:
        return 0.0 if setup <= other_setup and request == other_request else NEVER
    return max(0.0, (setup - other_setup) / (other_request - request))


def nearest_rank(values: Sequence[float], percent: float) -> float:
    """Return a percentile by nearest rank: the least value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100.0 * len(ordered)) - 1)]


Interval = tuple[float | None, float | None]


def succeeds(low: float | None, high: float | None, *, both_sides: bool = False) -> bool | None:
    """Say whether an attack tells deleted users from strangers; None without an interval.

    With `both_sides` a value below 0.5 tells too: that users were pushed away shows who they were.
    """
    if low is None or high is None:
        return None
    return low > 0.5 or (both_sides and high < 0.5)


def forgotten(guarantee: str, user: Interval, item: Interval) -> str:
    """Return what may be said of completeness.

    Exact methods never saw the users, whatever an attack's interval happens to be. Of approximate
    ones it can only be said whether the attacks here succeed.
    """
    if guarantee == "exact":
        return "exact"
    by = [
        name
        for name, found in (
            ("mia_user", succeeds(*user, both_sides=True)),
            ("mia_item", succeeds(*item)),
        )
        if found
    ]
    if by:
        return f"not forgotten ({' and '.join(by)} succeed{'' if len(by) > 1 else 's'})"
    if succeeds(*item) is None:
        return "not known (too few users for an interval)"
    return "approximate; no attack here succeeds"
