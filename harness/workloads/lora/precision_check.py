"""Compare bf16 products with fp32 on one real batch before they are taken.

Of a fresh adapter B is zero, and so is the gradient of A: the adapter is trained a little first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.core.errors import first_line
from harness.federated.observer import SilentObserver
from harness.federated.random_streams import random_stream
from harness.workloads.lora.aggregation.adapters import fresh, largest_rank
from harness.workloads.lora.base.tunable import TunableModel
from harness.workloads.lora.data.corpus import Corpus
from harness.workloads.lora.data.rows import Row, collate
from harness.workloads.lora.rules import Fitting
from harness.workloads.lora.training import LocalTraining, loss_of, train_rows
from models.agreement import Agreement, Passes, agreement, passes_of

EPOCHS = 3
RATE = 1e-3
"""Of the short training of the adapter in fp32."""


def compare_bf16(
    model: TunableModel,
    corpus: Corpus,
    training: LocalTraining,
    rank: int,
    clients: Sequence[int] | None = None,
) -> Agreement:
    """Return how far loss and gradients of an adapter in bf16 agree with those in fp32.

    The batch is of one of these clients, or of any. What the model wears afterwards is thrown away
    by whoever fits it next.

    Raises:
        ValueError: if fp32 itself gives no finite figures.
    """
    held = corpus.clients if clients is None else [corpus.clients[c] for c in clients]
    client = max(held, key=lambda c: len(c.train))
    rows = list(client.train[: training.batch_size])
    begun = fresh(
        model.shapes, min(rank, largest_rank(model.shapes)), random_stream(0, "precision")
    )
    model.fit(Fitting(worn=begun))
    short = replace(
        training, learning_rate=RATE, epochs=EPOCHS, steps=0, trained="both", pruning=None,
        precision="fp32",
    )  # fmt: skip
    train_rows(model, rows, corpus.pad, short, random_stream(0, "precision"), SilentObserver())
    plain, other = (_passes(model, rows, corpus.pad, training, p) for p in ("fp32", "bf16"))
    return agreement(plain, other, reduced=True)


def bf16_figures(
    model: TunableModel,
    corpus: Corpus,
    training: LocalTraining,
    rank: int,
    clients: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Return how far bf16 agrees in plain values; of what cannot be compared the fault alone."""
    try:
        return compare_bf16(model, corpus, training, rank, clients).as_dict()
    except (RuntimeError, ValueError) as error:
        return {"fault": first_line(error)}


def _passes(
    model: TunableModel, rows: Sequence[Row], pad: int, training: LocalTraining, precision: str
) -> Passes:
    model.net.zero_grad(set_to_none=True)
    loss = loss_of(model, collate(rows, pad, whole=training.on_prompts), precision)
    loss.backward()  # type: ignore[no-untyped-call]
    worn = model.worn()
    factors = {f"{name}.{letter}": p for name, pair in worn.items()
               for letter, p in zip("ab", pair, strict=True)}  # fmt: skip
    return passes_of(factors, {"loss": loss.detach()})
