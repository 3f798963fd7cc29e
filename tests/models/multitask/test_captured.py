"""Steps from a graph train as steps do one by one; what no graph can hold is launched singly.

No GPU is at hand: a recorder plays a graph, which runs the same Python on the graph's own tensors.
"""

import pytest
import torch

from harness.workloads.multitask.planning.plan import random_batch
from models.execution import PLAIN, Execution
from models.multitask.captured import CapturedStep, captured_step
from models.multitask.network import build
from models.multitask.optimizer import descent
from models.multitask.registry import architecture
from models.multitask.step import accumulate_gradients

FUSED = Execution(optimizer="fused")
SETTINGS = {"momentum": 0.9, "weight_decay": 1e-4}


class Recorder:
    """Replay by running again into the same outputs, as a graph writes the same memory."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.told: list[str] = []

    def warm(self, step) -> None:
        self.told.append("warm")
        step()

    def capture(self, step):
        self.told.append("capture")
        if self.fault:
            step()
            raise RuntimeError(f"{self.fault}\nmore")
        outputs = {task: loss.clone() for task, loss in step().items()}

        def replay() -> None:
            self.told.append("replay")
            for task, loss in step().items():
                outputs[task].copy_(loss)

        return replay, outputs


def batches(count: int, images: int = 2):
    found = []
    for index in range(count):
        pictures, targets = random_batch("sd", images, 32)
        found.append(((pictures + 0.1 * index).clamp(0, 1), dict(targets)))
    return found


def network(execution=FUSED):
    return build(architecture("small"), "sd", 0).execute_as(execution).train()


def eager(net, rounds, execution=FUSED):
    """Train rounds of batches, each with a rate and an optimizer of its own; return losses."""
    losses = []
    for rate, own in rounds:
        optimizer = descent(net, execution, lr=rate, **SETTINGS)
        for batch in own:
            optimizer.zero_grad(set_to_none=True)
            losses.append(accumulate_gradients(net, *batch))
            optimizer.step()
    return losses


ROUNDS = [(0.1, batches(3)), (0.02, batches(2))]


def from_graph(net, recorder):
    losses = []
    for rate, own in ROUNDS:
        captured = captured_step(net, SETTINGS, recorder)
        captured.begin(rate)
        losses += [captured(*batch) for batch in own]
    return captured, losses


def alike(net, other) -> None:
    for name, value in net.state_dict().items():
        theirs = other.state_dict()[name]
        torch.testing.assert_close(value, theirs, rtol=1e-5, atol=1e-6, msg=name)


def test_two_rounds_from_one_graph_are_those_of_steps_one_by_one() -> None:
    """Warming up and recording leave no trace in weights, statistics, velocity or rate."""
    net, other, recorder = network(), network(), Recorder()
    captured, losses = from_graph(net, recorder)
    expected = eager(other, ROUNDS)
    assert recorder.told == ["warm"] * 3 + ["capture"] + ["replay"] * 5
    assert captured.fault == ""
    alike(net, other)
    for ours, theirs in zip(losses, expected, strict=True):
        for task in theirs:
            assert float(ours[task]) == pytest.approx(float(theirs[task]), rel=1e-5)


def test_a_capture_that_fails_leaves_steps_one_by_one_and_says_why() -> None:
    net, other, recorder = (
        network(),
        network(),
        Recorder("operation not permitted when stream is capturing"),
    )
    captured, _ = from_graph(net, recorder)
    eager(other, ROUNDS)
    assert captured.fault == "operation not permitted when stream is capturing"
    assert captured.launch == f"no graph could be recorded: {captured.fault}"
    assert recorder.told == ["warm"] * 3 + ["capture"]
    alike(net, other)


def test_a_batch_of_another_shape_is_taken_singly_with_the_same_velocity() -> None:
    net, other = network(), network()
    own = [batches(1)[0], batches(1, images=3)[0], batches(1)[0]]
    recorder = Recorder()
    captured = CapturedStep(net, lambda *b: accumulate_gradients(net, *b), SETTINGS, recorder)
    captured.begin(0.05)
    launches = []
    for batch in own:
        captured(*batch)
        launches.append(captured.launch)
    assert launches == ["graph", "a batch of another size", "graph"]
    eager(other, [(0.05, own)])
    assert recorder.told.count("replay") == 2
    alike(net, other)


def test_losses_of_a_step_are_not_those_of_the_next() -> None:
    """The graph writes its outputs anew: what was returned before stays."""
    net = network()
    captured = captured_step(net, SETTINGS, Recorder())
    captured.begin(0.1)
    first, second = batches(2)
    losses = captured(*first)
    kept = {task: float(loss) for task, loss in losses.items()}
    captured(*second)
    assert {task: float(loss) for task, loss in losses.items()} == kept


def test_a_graph_is_kept_with_its_network_until_that_is_executed_otherwise() -> None:
    net, recorder = network(), Recorder()
    assert captured_step(net, SETTINGS, recorder) is captured_step(net, SETTINGS, recorder)
    assert captured_step(net, {**SETTINGS, "nesterov": True}) is not captured_step(net, SETTINGS)
    net.execute_as(PLAIN)
    assert net.captured == {}
