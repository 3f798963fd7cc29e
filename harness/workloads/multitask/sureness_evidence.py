"""Recompute from a run's affinity files how sure its splits are.

The bootstrap is made anew, sample by sample, of what `affinity/<cell>_clients.csv` holds and of the
seed that every run draws with. Which groups a mean gives is asked of the method itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import HarnessError
from harness.evidence.reading import RunFiles
from harness.evidence.stated import Contradiction
from harness.evidence.tables import Row
from harness.workloads.multitask.methods.registry import MultitaskMethod, parse
from harness.workloads.multitask.methods.schedule import Choice, Setting
from harness.workloads.multitask.protocol import PROTOCOLS, REPAIRED

Mean = NDArray[np.float64]
Measured = Mapping[int, Mapping[int, Mean]]
"""Round → client → what it measured."""

SAMPLES = 200
"""Bootstrap samples that `split_sure` is a share of."""

SEED = 0
FIRST_DRAWS = (8, 6, 5, 2, 3, 0, 0, 0)
"""What `default_rng(0).integers(10, size=8)` gives, by which a NumPy that draws otherwise shows."""

NUDGE = 1e-9
"""Share of the largest entry by which means may differ before what they decide is no tie."""


def sureness_contradictions(
    run: RunFiles, row: Row, clients: Sequence[Row]
) -> Iterator[Contradiction]:
    """Yield a `split_sure` that the affinity of a cell's clients does not give."""
    stated, cell = row["split_sure"], str(row["cell"])
    if stated is None:
        return
    said = f"split_sure is {stated} in cells.csv"
    if not 0.0 <= stated <= 1.0 or abs(SAMPLES * stated - round(SAMPLES * stated)) > 1e-6:
        yield "split_sure", cell, f"{said}, which is no share of {SAMPLES} samples"
        return
    source = f"affinity/{cell}_clients.csv"
    try:
        method, setting = parse(str(row["method"])), _setting(run, row)
        choose = method.choice(setting)
    except HarnessError:
        return  # a method of another program, which is not here
    measured = _counted(_measured(clients, setting.tasks), method, setting)
    if choose is None or len({client for own in measured.values() for client in own}) < 2:
        yield "split_sure", cell, f"{said}, and {source} has no split of two clients or more"
        return
    if tuple(np.random.default_rng(0).integers(10, size=8).tolist()) != FIRST_DRAWS:
        return  # not what drew the samples of any run
    if abs(sure_share_anew(measured, choose) - stated) < 1e-6:
        return
    least, most = sure_between(measured, choose)  # takes three times as long, and is seldom needed
    if not least - 1e-6 <= stated <= most + 1e-6:
        found = f"{least}" if least == most else f"{least} to {most}"
        yield "split_sure", cell, f"{said}, samples of {source} give {found}"


def _setting(run: RunFiles, row: Row) -> Setting:
    protocol = PROTOCOLS.get(str(run.section("config").get("protocol")), REPAIRED)
    return Setting(str(row["tasks"]), int(row["rounds"]), protocol=protocol)


def _measured(rows: Iterable[Row], tasks: str) -> Measured:
    """Return what every client measured in every round; entries that are missing are no numbers."""
    found: dict[int, dict[int, Mean]] = {}
    for row in rows:
        own = found.setdefault(int(row["round"]), {})
        matrix = own.setdefault(int(row["client"]), np.full((len(tasks),) * 2, np.nan))
        places = tasks.find(str(row["recipient"])), tasks.find(str(row["source"]))
        if min(places) >= 0 and row["mean"] is not None:
            matrix[places] = row["mean"]
    return found


def _counted(measured: Measured, method: MultitaskMethod, setting: Setting) -> Measured:
    """Return the rounds that decide, none if something in them is no number."""
    limit = method.parameters(setting).get("affinity_rounds")
    numbers = sorted(measured)[: None if limit is None else int(limit)]
    known = all(np.isfinite(m).all() for number in numbers for m in measured[number].values())
    return {number: measured[number] for number in numbers} if known else {}


def sure_share_anew(measured: Measured, choose: Choice) -> float:
    """Return the share of samples that give the groups of all that was measured."""
    whole, *samples = (frozenset(choose(mean)) for mean in _means(measured))
    return samples.count(whole) / SAMPLES


def sure_between(measured: Measured, choose: Choice) -> tuple[float, float]:
    """Return the least and the greatest of that share: a last bit decides where groups tie."""
    whole, *samples = (_answers(mean, choose) for mean in _means(measured))
    least = sum(len(answers | whole) == 1 for answers in samples)
    most = sum(bool(answers & whole) for answers in samples)
    return least / SAMPLES, most / SAMPLES


def _means(measured: Measured) -> Iterator[Mean]:
    """Yield the mean of all that was measured, then that of every sample.

    A sample takes as many rounds as there are and as many clients as there are, each with
    replacement: a round counts as often as it was drawn, and within it each client as often as that
    one was; a round with none of them counts nothing. A sample in which no round counts is drawn
    again (Owen, Ann. Appl. Stat. 2007: the pigeonhole bootstrap).
    """
    random = np.random.default_rng(SEED)
    clients = sorted({client for own in measured.values() for client in own})
    yield _mean([_mean(list(own.values())) for own in measured.values()])
    for _ in range(SAMPLES):
        yield _sample(measured, clients, random)


def _sample(measured: Measured, clients: Sequence[int], random: np.random.Generator) -> Mean:
    """Return the mean that one sample gives."""
    rounds = sorted(measured)
    while True:
        drawn_rounds = [rounds[i] for i in random.integers(len(rounds), size=len(rounds))]
        drawn = [clients[i] for i in random.integers(len(clients), size=len(clients))]
        means = []
        for number in drawn_rounds:
            own = [measured[number][client] for client in drawn if client in measured[number]]
            means += [_mean(own)] if own else []
        if means:
            return _mean(means)


def _answers(mean: Mean, choose: Choice) -> set[frozenset[str]]:
    """Return the groups of a mean, and of those that differ from it by next to nothing."""
    ripple = NUDGE * np.abs(mean).max() * np.sin(1.0 + np.arange(mean.size)).reshape(mean.shape)
    return {frozenset(choose(near)) for near in (mean, mean + ripple, mean - ripple)}


def _mean(matrices: Sequence[Mean]) -> Mean:
    return sum(matrices[1:], start=matrices[0]) / len(matrices)
