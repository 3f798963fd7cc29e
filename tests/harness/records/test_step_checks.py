"""What comparing a way of executing steps gave is told in words, whatever the figures are."""

from dataclasses import asdict, replace

import torch

from harness.fleet.strict import read_record
from harness.records.step_checks import MOST_LETTERS, StepCheck, passed_words
from models.agreement import Passes, agreement

ABOUT = {
    "execution": "bf16+channels-last+fused",
    "network": "sd",
    "torch": "2.13",
    "accelerator": "Orin",
}


def passes(loss, *gradient):
    return Passes({"s": loss}, {"w": torch.tensor(gradient, dtype=torch.float64)})


def check(other, reduced=True):
    found = agreement(passes(1.0, 3.0, 4.0), other, reduced=reduced)
    return StepCheck.of(found.as_dict(), **ABOUT)


def test_what_agrees_is_said_with_the_smallest_cosine_of_all_networks() -> None:
    """(3, 4) and (4, 3) have a cosine of 24/25, which fp32 and bf16 are both refused for."""
    right, wrong = check(passes(1.0, 3.0, 4.0)), check(passes(1.0, 4.0, 3.0))
    other = replace(right, cosine=0.997, network="s")
    (words,) = passed_words([right, wrong, other])
    assert words == (
        "bf16, channels-last, fused steps compute there what plain fp32 does (networks sd, s;"
        " smallest cosine 0.997000; PyTorch 2.13, Orin)"
    )
    assert wrong.words == (
        "bf16, channels-last, fused steps of sd on Orin under PyTorch 2.13 compute something else"
        " than plain fp32 does (gradient of w: cosine 0.960000 with plain fp32)"
    )


def test_a_way_that_cannot_be_executed_has_no_figures() -> None:
    none = StepCheck.of({}, "no such kernel", **ABOUT)
    assert not none.compared
    assert none.words.endswith("under PyTorch 2.13 cannot be executed: no such kernel")


def test_what_bursts_can_still_be_sent_to_a_server() -> None:
    """Infinities, numbers beyond all measure and endless words are no reason to refuse a report."""
    for other in (passes(float("inf"), 1.0, 1.0), passes(1e300, 3.0, float("nan"))):
        found = check(other)
        assert found.fault
        assert read_record(StepCheck, asdict(found), "the check") == found
    assert len(StepCheck.of({}, "x" * 9999, **ABOUT).fault) == MOST_LETTERS
