"""Train one client's copy of a model on its rows: a plain loop of AdamW, begun anew each round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it
from torch import Tensor, nn

from harness.federated.observer import Observer
from harness.records.work import Work
from harness.workloads.lora.aggregation.adapters import LowRank
from harness.workloads.lora.base.tunable import TunableModel
from harness.workloads.lora.data.rows import IGNORED, Batch, Row, batches, collate
from harness.workloads.lora.rules import Trained

TOKENS = "tokens"
"""Part of a model that work is counted by: tokens, padding included."""


@dataclass(frozen=True)
class Pruning:
    """Prune ranks as HetLoRA does: a penalty on the last rows and columns, and when they go.

    λ·‖A[γr:]‖·‖B[:, γr:]‖ is added to the loss; if that product is smaller after a round than
    before it, and was not 0, the rank becomes γr.
    """

    keep: float
    penalty: float


@dataclass(frozen=True)
class LocalTraining:
    """Fix how a client trains in a round.

    Attributes:
        learning_rate: of AdamW, which decays no weights.
        epochs: passes over the client's rows.
        batch_size: rows of a step.
        steps: most steps of a round; 0 for whole epochs.
        trained: what is trained.
        on_prompts: whether prompts are learnt too.
        precision: fp32, or bf16 for products under autocast.
        pruning: how ranks are pruned; None if they are not.
    """

    learning_rate: float
    epochs: int = 1
    batch_size: int = 32
    steps: int = 0
    trained: Trained = "both"
    on_prompts: bool = False
    precision: str = "fp32"
    pruning: Pruning | None = None


def loss_of(model: TunableModel, batch: Batch, precision: str = "fp32") -> Tensor:
    """Return the mean loss of the learnt tokens in nats."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        logits = model.logits(batch)
    return F.cross_entropy(
        logits.flatten(0, 1).float(), batch.targets.flatten(), ignore_index=IGNORED
    )


def train_rows(
    model: TunableModel,
    rows: Sequence[Row],
    pad: int,
    training: LocalTraining,
    order: np.random.Generator,
    observer: Observer,
) -> float:
    """Train what the model wears, in place; return the mean training loss over the steps."""
    parameters = model.parameters(training.trained)
    optimizer = torch.optim.AdamW(parameters, lr=training.learning_rate, weight_decay=0.0)
    torch.manual_seed(int(order.integers(2**31)))  # of dropout, where a model has it
    before = tail_size(model, training.pruning)
    model.net.train()
    losses: list[Tensor] = []
    tokens = padded = 0
    for _ in range(training.epochs):
        for chosen in batches(rows, training.batch_size, order):
            if training.steps and len(losses) == training.steps:
                break
            batch = collate(chosen, pad, whole=training.on_prompts)
            loss = loss_of(model, batch, training.precision)
            optimizer.zero_grad(set_to_none=True)
            penalised = loss if training.pruning is None else loss + _penalty(model, training)
            penalised.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.detach())
            tokens, padded = tokens + batch.tokens, padded + batch.padded
    model.net.eval()
    observer.work(trained_work(tokens, padded, training.trained))
    if training.pruning is not None:
        _prune(model, training.pruning, before)
    return float(torch.stack(losses).mean())


def trained_work(tokens: int, padded: int, trained: Trained) -> Work:
    """Return the work of training steps.

    An adapter's step is a forward and a backward to the inputs alone, worth two forwards; a step of
    all weights is worth three. Padding is computed like any token, and counted apart.
    """
    passes = 3.0 if trained == "all" else 2.0
    return Work({TOKENS: passes * (tokens + padded)}, {TOKENS: tokens, "padding": padded})


def _first(rank: int, keep: float) -> int:
    return max(1, int(rank * keep))


def _tails(
    model: TunableModel, keep: float
) -> list[tuple[nn.Parameter | Tensor, nn.Parameter | Tensor]]:
    worn = model.worn().values()
    return [(a[_first(len(a), keep) :], b[:, _first(len(a), keep) :]) for a, b in worn]


def tail_size(model: TunableModel, pruning: Pruning | None) -> float:
    """Return Σ over layers of ‖A[γr:]‖·‖B[:, γr:]‖."""
    if pruning is None:
        return 0.0
    with torch.no_grad():
        return sum(float(a.norm() * b.norm()) for a, b in _tails(model, pruning.keep))


def _penalty(model: TunableModel, training: LocalTraining) -> Tensor:
    assert training.pruning is not None
    tails = _tails(model, training.pruning.keep)
    # the root's slope at 0 is infinite: B begins there
    sizes = [
        (a.square().sum() + 1e-12).sqrt() * (b.square().sum() + 1e-12).sqrt() for a, b in tails
    ]
    return training.pruning.penalty * torch.stack(sizes).sum()


def _prune(model: TunableModel, pruning: Pruning, before: float) -> None:
    if not before or tail_size(model, pruning) >= before:
        return
    kept = {
        name: LowRank(a[: _first(len(a), pruning.keep)], b[:, : _first(len(a), pruning.keep)])
        for name, (a, b) in model.worn().items()
    }
    model.wear(kept)
