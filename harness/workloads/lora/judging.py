"""Judge what a state serves: on the clients' mixture, on all kinds, on what the base knew."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.federated.task import StateJudgement
from harness.workloads.lora.base.tunable import TunableModel
from harness.workloads.lora.data.corpus import Choice, Corpus
from harness.workloads.lora.evaluation import Score, score, sequence_losses
from harness.workloads.lora.job import UNIT
from harness.workloads.lora.rules import Fitting

WORLD, TEXT = "world", "text"
"""What values are of beside the clients' mixture: rows of all kinds; what the base knew."""


def judge_state(
    model: TunableModel, corpus: Corpus, fittings: Sequence[Fitting], *, final: bool
) -> StateJudgement:
    """Judge one model on all clients' held-out rows, or each client's own model on its own.

    Losses on the mixture and exact matches there are weighed by the clients' training rows. Of
    models of their own the values on all kinds and on text are means over clients.
    """
    own: list[Score] = []
    kinds: list[Mapping[str, Score]] = []
    texts: list[Score] = []
    right: list[float] = []
    for number, fitting in enumerate(fittings):
        model.fit(fitting)
        clients = corpus.clients if len(fittings) == 1 else [corpus.clients[number]]
        own += [score(model, client.held_out, corpus.pad) for client in clients]
        kinds.append({kind: score(model, rows, corpus.pad) for kind, rows in corpus.world.items()})
        texts.append(score(model, corpus.text, corpus.pad))
        if final and corpus.choices:
            right.append(choice_accuracy(model, corpus.choices, corpus.pad))
    return StateJudgement(*_told(corpus, own, kinds, texts, right))


def _told(
    corpus: Corpus,
    own: Sequence[Score],
    kinds: Sequence[Mapping[str, Score]],
    texts: Sequence[Score],
    right: Sequence[float],
) -> tuple[dict[str, dict[str, float]], list[tuple[str, str, float]]]:
    weights = [corpus.weight(client) for client in range(len(corpus.clients))]
    total = sum(weights)
    loss = sum(w * s.loss for w, s in zip(weights, own, strict=True)) / total
    exact = sum(w * s.exact_match for w, s in zip(weights, own, strict=True)) / total
    judged = {"test_loss": {UNIT: loss}, "exact_match": {UNIT: exact}}
    for kind in kinds[0]:
        judged["test_loss"][kind] = _mean([found[kind].loss for found in kinds])
        judged["exact_match"][kind] = _mean([found[kind].exact_match for found in kinds])
    for name in ("test_loss", "exact_match"):
        judged[name][WORLD] = _mean([judged[name][kind] for kind in kinds[0]])
    judged["test_loss"][TEXT] = _mean([found.loss for found in texts])
    judged["perplexity"] = {
        what: math.exp(min(700.0, judged["test_loss"][what])) for what in (UNIT, TEXT)
    }
    if right:
        judged["choice_accuracy"] = {"choices": _mean(right)}
    reported = [
        (name, what, value) for name, values in judged.items() for what, value in values.items()
    ]
    return judged, reported


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def choice_accuracy(model: TunableModel, choices: Sequence[Choice], pad: int) -> float:
    """Return the share of questions whose right answer is the likeliest by its mean token."""
    right = 0
    for choice in choices:
        losses = sequence_losses(model, choice.rows, pad)
        right += losses.index(min(losses)) == choice.right
    return right / len(choices)
