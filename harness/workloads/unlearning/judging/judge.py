"""Judge a state: what those who stay get, and what can still be found of those who left."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from harness.workloads.unlearning.choice import Scenario
from harness.workloads.unlearning.data.interactions import Ints
from harness.workloads.unlearning.judging.attacks import Estimate, mia_item, mia_user
from harness.workloads.unlearning.judging.ranking import (
    CUT,
    Ranking,
    a_igf,
    agreement,
    mean,
    rank,
    shard_gf,
)
from harness.workloads.unlearning.methods.base import (
    SHARD,
    Judged,
    Method,
    Serving,
    State,
    World,
    stored_bytes,
)
from harness.workloads.unlearning.methods.single import served, wiped
from harness.workloads.unlearning.training import learn

FLOOR_SHARD = 1_000_000
"""Number of no shard: the stream of the other retraining, which differs from the first in it."""

Values = dict[str, float]


@dataclass
class References:
    """Keep the lists that training anew gives, as several methods are compared with them.

    They are trained apart from all that is charged.
    """

    known: dict[tuple[int, tuple[int, ...]], tuple[Ints, float]] = field(default_factory=dict)

    def lists(self, world: World, gone: tuple[int, ...], kept: Ints) -> tuple[Ints, float]:
        """Return the lists, and how far those of another seed agree with them."""
        key = world.seed, gone
        if key not in self.known:
            first, other = (self._lists(world, kept, shard) for shard in (0, FLOOR_SHARD))
            self.known[key] = first, agreement(other, first)
        return self.known[key]

    @staticmethod
    def _lists(world: World, kept: Ints, shard: int) -> Ints:
        trained = learn(world.data.train.only(kept), world.training, world.seed, shard)
        return rank(served(wiped(trained.factors, kept)), world.data, kept).lists


@dataclass(frozen=True)
class Judge:
    """Judge the states of one cell."""

    world: World
    method: Method
    references: References

    def prepared(self, state: State, scenarios: list[Scenario]) -> Judged:
        """Judge the model before any request, and what is known of those who will leave."""
        everyone = self.world.data.everyone
        serving = self.method.serving(self.world, state, everyone)
        found: dict[str, Values] = {"": self._utility(state, serving, everyone)[1]}
        for scenario in scenarios:
            gone = np.array(scenario.users, dtype=np.int64)
            found[scenario.name] = self._attacks(serving, gone, "_before")
        return found

    def answered(
        self, state: State, scenario: Scenario, gone: tuple[int, ...], *, final: bool
    ) -> Judged:
        """Judge the model after a request; after the last one also how completely it forgot."""
        left = np.array(sorted(gone), dtype=np.int64)
        kept = np.setdiff1d(self.world.data.everyone, left)
        serving = self.method.serving(self.world, state, kept)
        ranking, values = self._utility(state, serving, kept)
        if final:
            values |= self._attacks(serving, left, "")
            lists, floor = self.references.lists(self.world, tuple(sorted(gone)), kept)
            values["agreement"] = agreement(ranking.lists, lists)
            values["agreement_floor"] = floor
        return {scenario.name: values}

    def _utility(self, state: State, serving: Serving, kept: Ints) -> tuple[Ranking, Values]:
        data = self.world.data
        ranking = rank(serving, data, kept)
        shard = state[SHARD].numpy()[kept] if SHARD in state else np.zeros(len(kept), dtype=int)
        liked = np.bincount(data.train.only(kept).items, minlength=data.item_count)
        values = {
            f"ndcg_{CUT}": mean(ranking.ndcg),
            f"recall_{CUT}": mean(ranking.recall),
            f"hit_{CUT}": mean(ranking.hit),
            "a_igf": a_igf(ranking.ndcg, data.train.counts[kept]),
            "shard_gf": shard_gf(ranking.ndcg, shard),
            "stored_bytes": float(stored_bytes(state)),
            "orphan_items": float((liked == 0).sum()),
            "users_without_test": float((data.held.counts[kept] == 0).sum()),
        }
        return ranking, {name: value for name, value in values.items() if math.isfinite(value)}

    def _attacks(self, serving: Serving, gone: Ints, ending: str) -> Values:
        found: Values = {}
        for name, attack in (("mia_user", mia_user), ("mia_item", mia_item)):
            estimate = attack(serving, self.world.data, gone, self.world.seed)
            if estimate is not None:
                found |= {
                    f"{name}{ending}{part}": value for part, value in _parts(estimate).items()
                }
        return found


def _parts(estimate: Estimate) -> Mapping[str, float]:
    parts = {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
    return {name: value for name, value in parts.items() if value is not None}
