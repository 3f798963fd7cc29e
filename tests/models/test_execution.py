"""Other ways of executing a step compute the same: to rounding, and in fp32 where it matters."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from harness.workloads.multitask.planning.plan import random_batch
from harness.workloads.multitask.training.steps import training_step
from models.execution import CHOICES, PLAIN, Execution, parse_execution
from models.multitask.losses import task_loss
from models.multitask.network import build
from models.multitask.optimizer import descent
from models.multitask.registry import architecture
from models.multitask.step import accumulate_gradients
from tests.local_rules import LOCAL_RULES

BF16 = Execution("bf16")
ALL = [Execution(*words) for words in product(*CHOICES.values())]
HERE = [way for way in ALL if not way.needs_gpu]
"""What a processor can do, however slowly."""


def trained(execution: Execution, steps: int, model: str = "small", tasks: str = "sdn"):
    """Return weights after some steps on one batch, and the losses of the last."""
    net = build(architecture(model), tasks, 0).execute_as(execution).train()
    optimizer = descent(net, execution, lr=0.02, momentum=0.9, weight_decay=1e-4)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        losses = accumulate_gradients(net, *random_batch(tasks, 2, 32))
        optimizer.step()
    return net, losses


def flat(net) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize("execution", ALL, ids=lambda e: e.text)
def test_text_and_execution_are_each_others_inverse(execution: Execution) -> None:
    assert parse_execution(execution.text) == execution


def test_words_left_out_are_plain() -> None:
    assert parse_execution("plain") == PLAIN
    assert parse_execution("bf16") == replace(PLAIN, precision="bf16")
    assert parse_execution("fused+contiguous") == Execution("fp32", "contiguous", "fused")


@pytest.mark.parametrize(
    ("text", "words"),
    [("bf17", "'bf17' is none of"), ("bf16+fp16", "bf16 and fp16 exclude"), ("", "'' is none of"),
     ("bf16+", "'' is none of"), ("fused+fused", "exclude each other")],
)  # fmt: skip
def test_wrong_words_are_named(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_execution(text)


@pytest.mark.parametrize("model", ["small", "xception"])
@pytest.mark.parametrize("execution", [e for e in HERE if not e.reduced], ids=lambda e: e.text)
def test_in_fp32_weights_agree_to_rounding(execution: Execution, model: str) -> None:
    """Two steps of momentum SGD in every layout and implementation end at the same weights."""
    begun = flat(build(architecture(model), "sdn", 0))
    plain, other = (flat(trained(way, 2, model)[0]) for way in (PLAIN, execution))
    assert float((other - plain).norm()) < 0.01 * float((plain - begun).norm())


@pytest.mark.parametrize(("model", "least"), [("small", 0.98), ("xception", 0.9)])
def test_bf16_gradients_point_where_fp32_ones_do(model: str, least: float) -> None:
    """bf16 has 8 bits: the gradients of encoder and decoders keep their direction and length.

    A deep network at its start, on few images, rounds more on the way back.
    """
    plain, exact = trained(PLAIN, 1, model)
    net, losses = trained(BF16, 1, model)
    for part in ("encoder", "decoders"):
        ours, theirs = (
            torch.cat([p.grad.flatten() for p in getattr(n, part).parameters()])
            for n in (net, plain)
        )
        cosine = float(ours @ theirs / ours.norm() / theirs.norm())
        assert cosine > least
        assert float(ours.norm() / theirs.norm()) == pytest.approx(1.0, abs=0.1)
    for task in exact:
        assert float(losses[task]) == pytest.approx(float(exact[task]), rel=0.02)
        assert float(losses[task]) != float(exact[task])  # it was not computed in fp32 after all


def test_bf16_leaves_weights_features_losses_and_momentum_in_fp32() -> None:
    net, losses = trained(BF16, 2)
    images, _ = random_batch("sdn", 2, 32)
    features = net.encode(images)
    found = {
        *(tensor.dtype for tensor in net.state_dict().values() if tensor.is_floating_point()),
        *(p.grad.dtype for p in net.parameters()), *(loss.dtype for loss in losses.values()),
        features.dtype, net.decode("s", features).dtype,
    }  # fmt: skip
    assert found == {torch.float32}
    heard = []
    net.encoder[1][0].register_forward_hook(lambda *passed: heard.append(passed[-1].dtype))
    net.encode(images)
    assert heard == [torch.bfloat16]


def test_tests_are_taken_in_fp32_however_training_is_executed() -> None:
    """Predictions of a network in evaluation do not depend on the precision of its steps."""
    net, _ = trained(PLAIN, 1)
    images, _ = random_batch("sdn", 2, 32)
    net.eval()
    with torch.no_grad():
        plain = net(images)
        again = net.execute_as(BF16)(images)
    assert all(torch.equal(plain[task], again[task]) for task in plain)


@pytest.mark.parametrize(
    "rule",
    LOCAL_RULES,
    ids=lambda rule: type(rule).__name__,
)  # fmt: skip
def test_every_rule_of_training_follows_the_precision(rule) -> None:
    """Losses differ from those of fp32, and by no more than rounding does."""
    losses = {}
    for execution in (PLAIN, BF16):
        net = build(architecture("small"), "sd", 0).execute_as(execution).train()
        step = training_step(net, rule, np.random.default_rng(0))
        losses[execution] = {t: float(v) for t, v in step(*random_batch("sd", 2, 32)).items()}
        assert all(torch.isfinite(p.grad).all() for p in net.parameters())
    assert losses[BF16] == pytest.approx(losses[PLAIN], rel=0.02)
    assert losses[BF16] != losses[PLAIN]


def test_contiguous_weights_are_contiguous_throughout() -> None:
    """The layout asked for is that of weights and of what passes between layers."""
    net = build(architecture("small"), "s", 0)
    (images, targets) = random_batch("s", 2, 32)
    for execution, layout in (
        (PLAIN, torch.channels_last), (Execution("fp32", "contiguous"), torch.contiguous_format),
    ):  # fmt: skip
        net.execute_as(execution)
        weight = net.encoder[-1].convolution[0].weight
        assert weight.is_contiguous(memory_format=layout)
        features = net.encode(images)
        assert features.is_contiguous(memory_format=layout)
        loss = task_loss("s", net.decode("s", features), targets["s"])
        assert float(loss.detach()) > 0
