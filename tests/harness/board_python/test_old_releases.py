"""What JetPack 4 and 5 have, Python 3.6 with PyTorch 1.10 and 3.8 with 2.1, train as this one.

`make test-old-python` makes both and names them in BOARD_PYTHONS, separated by colons. Every method
trains by one of the rules below and no other code. One step is compared: rounding differs between
releases, and after some ten steps of a fresh network two threads of one release depart as far.
"""

import os

import pytest

from harness.board_python.process import BoardProcess
from harness.board_python.trainers import Board
from harness.workloads.multitask.wire import MultitaskWire
from models.execution import parse_execution
from tests.harness.board_python.test_process import (
    RULES,
    FewPictures,
    both_ways,
    request,
    round_of,
)

PYTHONS = [path for path in os.environ.get("BOARD_PYTHONS", "").split(":") if path]
RELATIVE = 1e-5

pytestmark = [
    pytest.mark.whole,
    pytest.mark.skipif(not PYTHONS, reason="no old Python: make test-old-python"),
]


@pytest.fixture(scope="module", params=PYTHONS)
def old(request):
    pictures = FewPictures(images=4)
    with BoardProcess(request.param, pictures, 1, "cpu") as other:
        yield Board(other, pictures, MultitaskWire())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_one_step_is_that_of_this_pytorch(rule, old, one_thread):
    """Every tensor, its losses and affinities, within 1e-5 of its norm."""
    assert old.facts["torch"].split(".")[:2] in (["1", "10"], ["2", "1"])
    for here, (answer, tensors) in both_ways(old, request(rule, epochs=1), images=4):
        for name, tensor in here.tensors.items():
            apart = (tensors[name].double() - tensor.double()).norm()
            assert apart <= RELATIVE * tensor.double().norm(), name
        for task, loss in here.losses.items():
            assert answer["losses"][task] == pytest.approx(loss, rel=RELATIVE)
        assert answer["measured"]["count"] == here.measured.count
        for row, expected in zip(answer["measured"]["mean"], here.measured.mean, strict=True):
            assert row == pytest.approx(list(expected), abs=RELATIVE)


@pytest.mark.parametrize("way", ["contiguous", "foreach", "fused", "tf32"])
def test_ways_are_compared_under_that_pytorch(way, old):
    """Layouts compute the same; an optimizer that came later, and what needs a GPU, is named."""
    check = old.compare(0, "sd", round_of(parse_execution(way)))
    assert check.torch == old.facts["torch"]
    early = check.torch.startswith("1.10")
    if way == "contiguous" or (way == "foreach" and not early):
        assert check.fault == ""
        assert 0.99999 < check.cosine <= 1.0 + 1e-12
    elif way == "tf32":
        assert "for a GPU" in check.fault
    else:
        assert check.fault == f"PyTorch {check.torch} has no {way} SGD"
