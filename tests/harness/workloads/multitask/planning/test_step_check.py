"""A way that computes something else is refused, shown and recorded, and the next one is tried."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from harness.core.errors import StepRefusedError
from harness.running.limits import Limits
from harness.workloads.multitask.data.dataset import open_data
from harness.workloads.multitask.planning import training_setup
from harness.workloads.multitask.planning.step_check import Examiner, checked
from harness.workloads.multitask.planning.step_choice import StepChoice, recorded_choice
from harness.workloads.multitask.planning.training_setup import TrainingSetup
from harness.workloads.multitask.training.step_trial import as_executed
from models.agreement import passes_of
from models.execution import PLAIN, Execution
from models.multitask.network import build
from models.multitask.registry import architecture
from models.multitask.step import accumulate_gradients
from tests.harness.run_folder.conftest import Runner, SilentScreen, manifest, only

FUSED = Execution(optimizer="fused")
CONTIGUOUS = Execution(memory_format="contiguous", optimizer="fused")
BF16 = Execution("bf16", "channels-last", "fused")


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Runner:
    return Runner(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def opened(runner, tmp_path_factory):
    config = runner.config(tmp_path_factory.mktemp("out"), batch_size=4)
    return config, open_data(config, SilentScreen())


def halves_convolutions(net, batch):
    """Do as a kernel that leaves out half of what 2×2 convolutions of stride 2 should sum."""
    losses = as_executed(net, batch)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == layer.stride == (2, 2):
            layer.weight.grad[:, :, 0] = 0.0
    return losses


def scales_losses(net, batch):
    return {task: 1.02 * loss for task, loss in as_executed(net, batch).items()}


def loses_a_block(net, batch):
    losses = as_executed(net, batch)
    next(iter(net.decoders.values()))[0].weight.grad.zero_()
    return losses


def forgets_to_unscale(net, batch):
    losses = as_executed(net, batch)
    for parameter in net.parameters():
        parameter.grad.mul_(1024.0)
    return losses


WRONG = {
    halves_convolutions: "cosine", scales_losses: "loss of", loses_a_block: "cosine 0.000000",
    forgets_to_unscale: "times as long",
}  # fmt: skip


@pytest.mark.parametrize("run", WRONG, ids=lambda run: run.__name__)
def test_wrong_ways_are_seen_for_merged_and_single_steps(opened, run) -> None:
    config, store = opened
    found = Examiner(config, architecture("small"), store, run).examine(FUSED)
    assert set(found) == {"merged", "single"}
    assert all(WRONG[run] in one.fault for one in found.values())


def test_a_wrong_convolution_is_seen_in_the_large_network(opened) -> None:
    config, store = opened
    config = replace(config, tasks="s", batch_size=2)
    network = architecture("xception")
    (wrong,) = Examiner(config, network, store, halves_convolutions).examine(FUSED).values()
    assert "cosine" in wrong.fault
    (right,) = Examiner(config, network, store).examine(FUSED).values()
    assert right.fault == ""
    assert right.directionless >= 4  # biases before a batch norm


def test_cosines_are_those_of_a_plain_loop(opened) -> None:
    """Layout alone changes sums: the smallest cosine is that of tensors flattened by hand."""
    config, store = opened
    examiner = Examiner(config, architecture("small"), store)
    found = examiner.examine(CONTIGUOUS)["merged"]
    trial = examiner.trials.held["sd"]
    net = build(architecture("small"), "sd", 0).train()
    net.load_state_dict(trial.weights)
    net.execute_as(CONTIGUOUS)
    accumulate_gradients(net, *trial.batch)
    smallest = 1.0
    for name, p in net.named_parameters():
        ours, theirs = p.grad.double().flatten(), trial.plain.gradients[name]
        if float(theirs.norm()) > 1e-5 * trial.plain.norm:
            smallest = min(smallest, float(ours @ theirs / ours.norm() / theirs.norm()))
    assert found.cosine == pytest.approx(smallest, abs=1e-12)
    assert 0.99999 < found.cosine <= 1.0 + 1e-12
    assert not found.fault


def test_the_trial_begins_where_a_short_training_has_lowered_the_loss(opened) -> None:
    config, store = opened
    examiner = Examiner(config, architecture("small"), store)
    examiner.examine(FUSED)
    trial = examiner.trials.held["sd"]
    net = build(architecture("small"), "sd", 0).train()
    begun = passes_of(dict(net.named_parameters()), accumulate_gradients(net, *trial.batch))
    assert sum(trial.plain.losses.values()) < sum(begun.losses.values())


def test_a_rate_at_which_training_bursts_is_lowered(opened) -> None:
    """At a rate of 1e30 weights are no numbers after a step: then they are left as they begin."""
    config, store = opened
    examiner = Examiner(replace(config, learning_rate=1e30), architecture("small"), store)
    assert not examiner.examine(FUSED)["merged"].fault
    fresh = build(architecture("small"), "sd", 0).state_dict()
    weights = examiner.trials.held["sd"].weights
    assert torch.equal(weights["encoder.1.0.weight"], fresh["encoder.1.0.weight"])


def choice(*ways: tuple[Execution, float, bool], asked: str = "auto") -> StepChoice:
    candidates = [
        {"execution": e.text, "threads": 2, "smaller_gain": g, "clear": clear}
        for e, g, clear in ways
    ]
    best = ways[0][0]
    return StepChoice(best, 1, asked, {"gain": ways[0][1], "candidates": candidates})


class Judge:
    """Find fault with some ways, and note which were looked at."""

    def __init__(self, config, opened, *wrong):
        self.examiner = Examiner(config, architecture("small"), opened, self.run)
        self.wrong, self.seen = wrong, []

    def run(self, net, batch):
        self.seen.append(net.execution)
        broken = net.execution in self.wrong
        return (halves_convolutions if broken else as_executed)(net, batch)


def test_the_fastest_way_that_is_right_is_taken(opened) -> None:
    config, store = opened
    ways = ((BF16, 1.9, True), (CONTIGUOUS, 1.2, True), (FUSED, 1.4, True), (PLAIN, 1.0, False))
    judge = Judge(config, store, BF16, FUSED)
    found = checked(choice(*ways), judge.examiner)
    assert (found.execution, found.threads, found.gain) == (CONTIGUOUS, 2, 1.2)
    assert list(dict.fromkeys(judge.seen)) == [BF16, FUSED, CONTIGUOUS]
    assert [way["execution"] for way in found.checked["ways"]] == [
        BF16.text, FUSED.text, CONTIGUOUS.text
    ]  # fmt: skip
    first, _second = found.refused
    assert first.startswith(
        f"bf16, channels-last, fused is not taken: under PyTorch {torch.__version__}"
    )
    assert "merged step: gradient of" in first
    assert "single step: " in first
    assert recorded_choice(json.loads(json.dumps({"step": found.as_dict()}))) == found


def test_without_a_right_way_steps_stay_plain_and_what_was_not_clear_is_not_tried(opened) -> None:
    config, store = opened
    judge = Judge(config, store, FUSED)
    found = checked(choice((FUSED, 1.4, True), (CONTIGUOUS, 1.05, False)), judge.examiner)
    assert (found.execution, found.gain, found.plain) == (PLAIN, 1.0, True)
    assert set(judge.seen) == {FUSED}


def test_plain_steps_are_not_examined_and_right_ones_stay_as_they_were(opened) -> None:
    config, store = opened
    judge = Judge(config, store)
    plain = StepChoice(PLAIN, 1, "plain")
    assert checked(plain, judge.examiner) is plain
    assert judge.seen == []
    fused = choice((FUSED, 1.4, True))
    found = checked(fused, judge.examiner)
    assert replace(found, checked={}) == fused
    assert found.refused == []


def test_a_way_asked_for_by_name_that_is_wrong_ends_the_run(opened) -> None:
    config, store = opened
    judge = Judge(config, store, FUSED)
    with pytest.raises(
        StepRefusedError, match=r"--step fused: under PyTorch .* computes something else"
    ):
        checked(choice((FUSED, 1.4, True), asked="fused"), judge.examiner)


def test_a_way_that_fails_on_real_images_is_refused_in_words(opened) -> None:
    config, store = opened

    def fails(net, batch):
        raise RuntimeError("no kernel for this shape\nmore")

    found = checked(choice((FUSED, 1.4, True)),
                    Examiner(config, architecture("small"), store, fails))  # fmt: skip
    assert found.plain
    assert "no kernel for this shape)" in found.refused[0]


class Talking(SilentScreen):
    """Keep what is said."""

    def say(self, title, text):
        self.notes.append(f"{title}: {text}")


def test_a_run_shows_and_records_the_refusal_and_keeps_it_when_it_goes_on(
    runner, tmp_path, monkeypatch
) -> None:
    """Done once: the run that goes on takes choice and finding from its manifest."""
    monkeypatch.setattr(TrainingSetup, "choose", lambda *_, **__: choice((FUSED, 1.4, True)))
    examined = []

    def examiner(*found):
        assert not examined, "examined twice"
        examined.append(found)
        return Examiner(*found, halves_convolutions)

    monkeypatch.setattr(training_setup, "Examiner", examiner)
    screen = Talking()
    runner.run(tmp_path, limits=Limits(time_s=1e-9), step="auto", screen=screen)
    assert any(
        note.startswith("Note: fp32, channels-last, fused is not taken") for note in screen.notes
    )
    assert any(note.startswith("Step: plain") for note in screen.notes)
    before = manifest(only(tmp_path))["step"]
    assert before["execution"] == PLAIN.text
    assert before["checked"]["ways"][0]["execution"] == FUSED.text
    assert before["checked"]["torch"] == torch.__version__
    assert "merged step: gradient of" in before["checked"]["ways"][0]["fault"]
    summary = runner.run(tmp_path, step="auto")
    assert not summary.stopped
    assert manifest(only(tmp_path))["step"] == before
