"""bf16 products are compared with fp32 on real rows before they are taken, and refused if wrong."""

import math
from dataclasses import replace

import pytest
import torch

from harness.core.errors import StepRefusedError
from harness.running.target import resolve_target
from harness.workloads.base import Settling
from harness.workloads.lora import precision_check, study, timing
from harness.workloads.lora.base.opening import open_corpus, open_model
from harness.workloads.lora.config import LoraConfig
from harness.workloads.lora.participant import participant
from harness.workloads.lora.precision_check import compare_bf16
from harness.workloads.lora.study import local_training
from models.agreement import Passes

CONFIG = LoraConfig(
    rows=8, clients=2, batch_size=4, ranks="4", methods=("flora",), meter="none", threads=1
)


@pytest.fixture(scope="module")
def opened():
    model = open_model(CONFIG)
    return model.model, open_corpus(CONFIG, model)


@pytest.fixture
def wrong(monkeypatch):
    """Let bf16 lose the second half of what adapters learn."""
    honest = precision_check.passes_of

    def passes_of(parameters, losses):
        found = honest(parameters, losses)
        if not made:
            made.append(found)
            return found
        turned = {k: torch.cat([v[: len(v) // 2], 0.0 * v[len(v) // 2 :]])
                  for k, v in found.gradients.items()}  # fmt: skip
        return Passes(found.losses, turned)

    made: list[Passes] = []
    monkeypatch.setattr(precision_check, "passes_of", passes_of)
    return made


def test_bf16_agrees_in_every_factor(opened) -> None:
    """Both factors of every layer have a direction after a short training."""
    found = compare_bf16(*opened, local_training(CONFIG), 4)
    assert found.fault == ""
    assert 0.995 < found.cosine < 1.0
    assert 0.0 < found.loss < 0.01
    assert found.directionless == 0


def test_the_cosine_is_that_of_the_worst_factor(opened, wrong) -> None:
    found = compare_bf16(*opened, local_training(CONFIG), 4)
    (plain,) = wrong
    expected = min(
        math.sqrt(float(g[: len(g) // 2].square().sum() / g.square().sum()))
        for g in plain.gradients.values()
    )
    assert found.cosine == pytest.approx(expected, abs=0.01)
    assert "cosine" in found.fault


@pytest.mark.parametrize("asked", ["auto", "bf16", "fp32"])
def test_wrong_bf16_is_not_taken(asked, opened, wrong, monkeypatch) -> None:
    """By itself fp32 is taken and the refusal said; asked for by name it ends the run."""
    speeds = {"fp32": 2.0, "bf16": 1.0}
    monkeypatch.setattr(timing, "_token_s", lambda m, c, training, *_: speeds[training.precision])
    config = replace(CONFIG, precision=asked)
    said = []

    class Screen:
        def say(self, title, text):
            said.append(f"{title}: {text}")

    def drafted(manifest):
        return study.draft(config, resolve_target(config), manifest, Settling(), Screen())

    if asked == "bf16":
        with pytest.raises(
            StepRefusedError, match=r"--precision bf16: under PyTorch .* computes something"
        ):
            drafted({})
        return
    found = drafted({})
    assert found.timing.precision == "fp32"
    refused = [line for line in said if line.startswith("Note: bf16 is not taken")]
    assert len(refused) == (asked == "auto")
    told = found.timing.as_dict()
    assert timing.recorded({"token_timing": told}) == found.timing
    assert bool(told["agreement"]) == (asked == "auto")


@pytest.mark.parametrize("broken", [False, True])
def test_a_device_of_a_fleet_compares_bf16_itself_before_it_trains(
    broken, monkeypatch, request
) -> None:
    """On rows of its own client, once; fp32 needs no comparing."""
    if broken:
        request.getfixturevalue("wrong")
    compared = []
    honest = precision_check.compare_bf16
    monkeypatch.setattr(
        precision_check, "compare_bf16", lambda *found: compared.append(found) or honest(*found)
    )
    config = replace(CONFIG, precision="bf16")
    one = participant(config, resolve_target(config))
    for _ in range(2):
        if broken:
            with pytest.raises(StepRefusedError, match="bf16 steps of adapters on the processor"):
                one.check_steps([1])
        else:
            one.check_steps([1])
    assert [found[4] for found in compared] == [[1]]
    (check,) = one.step_checks
    assert bool(check.fault) == broken
    assert check.torch == torch.__version__
    plain = participant(CONFIG, resolve_target(CONFIG))
    plain.check_steps([1])
    assert plain.step_checks == ()
