"""Name what the published code of MAS does otherwise, one field for each behaviour.

`repaired` is what this benchmark trains by default. `release` reproduces the behaviours of the
published code that change numbers; docs/protocol.md lists them all, with those that are crashes or
belong to data and losses. Plain data, so that planning and listing need no torch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """Say which published behaviours hold; numbers are those of docs/protocol.md.

    A: `clients_by_round_number` draws clients from the round's number alone, whatever the seed.
    B: `looks_ahead_everywhere` measures affinity in every job of every method, and pays for it.
    C: `affinity_over_rate` divides an affinity by the learning rate of its round.
    D: `affinity_rounds` averages the first rounds of a job only, though all are measured.
    2: `epochs_summed` adds the epochs of a client up and drops what is then not positive.
    3: `looks_over_batches` divides by batches / period, not by the number of look-aheads.
    4: `looks_move_statistics` lets look-aheads update the batch-norm statistics.
    5: `jobs_start_over` has split jobs begin again with round 0: clients and learning rate.
    7: `at_most_splits` may end with fewer groups than asked for.
    11: `trains_on_rest` trains on the images that fill no batch.
    E: `mirrors_images` shows clients a random half of their images mirrored.
    """

    name: str = "repaired"
    clients_by_round_number: bool = False
    looks_ahead_everywhere: bool = False
    affinity_over_rate: bool = False
    affinity_rounds: int | None = None
    epochs_summed: bool = False
    looks_over_batches: bool = False
    looks_move_statistics: bool = False
    jobs_start_over: bool = False
    at_most_splits: bool = False
    trains_on_rest: bool = False
    mirrors_images: bool = False


REPAIRED = Protocol()

RELEASE = Protocol(
    "release",
    clients_by_round_number=True,
    looks_ahead_everywhere=True,
    affinity_over_rate=True,
    affinity_rounds=10,
    epochs_summed=True,
    looks_over_batches=True,
    looks_move_statistics=True,
    jobs_start_over=True,
    at_most_splits=True,
    trains_on_rest=True,
    mirrors_images=True,
)

PROTOCOLS = {protocol.name: protocol for protocol in (REPAIRED, RELEASE)}
