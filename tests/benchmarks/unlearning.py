"""Time training of recommenders: this loop, a plain torch loop, and a DataLoader of single pairs.

Both rivals are written here. The plain loop does the same steps on the same draws; the DataLoader
feeds single pairs through a Dataset that looks them up in a pandas frame, which is how the released
code of CURE4Rec feeds its models. Seconds are the process's own, of one thread, in alternating runs
of which the medians are compared, so that other programs matter little.
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from harness.federated.random_streams import random_stream
from harness.workloads.unlearning.data.generated import Generated
from harness.workloads.unlearning.data.installed import installed_file
from harness.workloads.unlearning.data.interactions import Pairs
from harness.workloads.unlearning.data.source import open_file
from harness.workloads.unlearning.training import Training, learn
from tests.benchmarks.table import head, row, spread

REPEATS = 15
EPOCHS = 3
BATCH = 1024
"""Of the DataLoader: the size in the released code."""
LOADED_PAIRS = 20 * BATCH
"""Pairs that a DataLoader is timed on: a whole epoch takes ten seconds."""


def plain_loop(pairs: Pairs, training: Training) -> float:
    """Train as one writes it without a library; return the last loss."""
    random = random_stream(0, "shard", 0)
    size = (pairs.user_count + pairs.item_count, training.width)
    drawn = torch.from_numpy(random.standard_normal(size, dtype=np.float32) * np.float32(0.1))
    p = drawn[: pairs.user_count].clone().requires_grad_()
    q = drawn[pairs.user_count :].clone().requires_grad_()
    liked = np.zeros((pairs.user_count, pairs.item_count), dtype=bool)
    liked[pairs.users, pairs.items] = True
    optimizer = torch.optim.Adam([p, q], lr=training.learning_rate, fused=True)
    for _ in range(training.epochs):
        negative = random.integers(pairs.item_count, size=len(pairs))
        wrong = np.flatnonzero(liked[pairs.users, negative])
        while len(wrong):
            negative[wrong] = random.integers(pairs.item_count, size=len(wrong))
            wrong = wrong[liked[pairs.users[wrong], negative[wrong]]]
        order = random.permutation(len(pairs))
        user, item, other = (
            torch.from_numpy(x[order]) for x in (pairs.users, pairs.items, negative)
        )
        for at in range(0, len(pairs), training.batch_size):
            u, i, j = (x[at : at + training.batch_size] for x in (user, item, other))
            pu, qi, qj = p[u], q[i], q[j]
            score, against = (pu * qi).sum(1), (pu * qj).sum(1)
            softplus = torch.nn.functional.softplus
            loss = (softplus(-score) + softplus(against)).mean()
            size_of = pu.square().sum() + qi.square().sum() + qj.square().sum()
            loss = loss + training.decay * size_of / len(u)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return float(loss.detach())


class _Rows(Dataset[tuple[int, int, float]]):
    """Look up one pair at a time in a frame."""

    def __init__(self, frame: object) -> None:
        self.frame = frame

    def __len__(self) -> int:
        return len(self.frame)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[int, int, float]:
        found = self.frame.iloc[index]  # type: ignore[attr-defined]
        return int(found["user"]), int(found["item"]), float(found["label"])


def loaded_loop(pairs: Pairs, training: Training) -> int:
    """Train on batches of a DataLoader of single pairs; return how many pairs were fed."""
    pandas = importlib.import_module("pandas")
    random = np.random.default_rng(0)
    negative = random.integers(pairs.item_count, size=len(pairs))
    frame = pandas.DataFrame({
        "user": np.concatenate([pairs.users, pairs.users]),
        "item": np.concatenate([pairs.items, negative]),
        "label": np.concatenate([np.ones(len(pairs)), np.zeros(len(pairs))]),
    }).iloc[random.permutation(2 * len(pairs))[:LOADED_PAIRS]]  # fmt: skip
    p = torch.nn.Embedding(pairs.user_count, training.width)
    q = torch.nn.Embedding(pairs.item_count, training.width)
    optimizer = torch.optim.Adam([*p.parameters(), *q.parameters()], lr=training.learning_rate)
    fed = 0
    for user, item, label in DataLoader(_Rows(frame), batch_size=BATCH):
        score = (p(user) * q(item)).sum(1)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(score, label.float())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        fed += len(user)
    return fed


def report() -> Iterator[str]:
    """Yield a table of data sets and loops; ML-100K where an installed package carries it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield from head("data", "loop", "pairs/s: least", "median", "most", "this one is")
        yield from _rows("generated", Generated().draw(0).train)
        if installed_file() is None:
            yield ""
            yield "ML-100K is not here: pip install --no-deps recbole."
        else:
            yield from _rows("ml-100k", open_file("ml-100k").draw(0).train)
    finally:
        torch.set_num_threads(before)


def _rows(name: str, pairs: Pairs) -> Iterator[str]:
    training = Training(epochs=EPOCHS)
    work = 2 * EPOCHS * len(pairs)  # a positive and a negative each
    rates: dict[str, list[float]] = {"this": [], "plain torch": []}
    loops: dict[str, Callable[[], object]] = {
        "this": lambda: learn(pairs, training, 0, 0),
        "plain torch": lambda: plain_loop(pairs, training),
    }
    for do in loops.values():
        do()  # pays for what is only paid once
    for turn in range(REPEATS):
        for name_of in sorted(loops, reverse=bool(turn % 2)):
            rates[name_of].append(work / _seconds(loops[name_of]))
    rates["DataLoader of single pairs"] = [
        LOADED_PAIRS / _seconds(lambda: loaded_loop(pairs, training)) for _ in range(3)
    ]
    for loop, found in rates.items():
        pairwise = zip(rates["this"], found, strict=False)  # of alternating runs
        ratio = statistics.median(one / other for one, other in pairwise)
        yield row(name, loop, *spread(found, ",.0f"), "" if loop == "this" else f"{ratio:.2f}×")


def _seconds(do: Callable[[], object]) -> float:
    began = time.process_time()
    do()
    return max(time.process_time() - began, 1e-9)
