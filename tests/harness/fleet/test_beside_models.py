"""What travels beside models, and who has which pictures and labels, is over a fleet as it is here.

To the last bit: weights, losses and the bytes counted.
"""

import csv

import pytest
import safetensors.torch
import torch

from tests.harness.fleet.conftest import Listening
from tests.harness.fleet.workers import WorkerSockets

CASES = {
    "rules that remember": {"methods": ("uncertainty", "famo", "db-mtl", "scaffold", "fednova")},
    "label skew": {"methods": ("scaffold", "fednova"), "label_skew": "dirichlet", "images": 24},
    "unlike clients": {
        "methods": ("apart", "mat-fl", "fedhca2", "all-in-one"), "client_tasks": "sd|d",
        "server": "fedadam",
    },
    "until sure": {
        "methods": ("mas:sure=0.8", "mas-together"), "server": "averaged-momentum", "rounds": 5,
    },
}  # fmt: skip


def _numbers(folder):
    with (folder / "cells.csv").open() as stream:
        cells = list(csv.DictReader(stream))
    names = ("method", "status", "groups", "total_loss", "upload_bytes", "download_bytes",
             "split_sure")  # fmt: skip
    return [[cell[name] for name in names] for cell in cells]


@pytest.mark.whole
@pytest.mark.parametrize("case", CASES)
def test_a_fleet_is_one_process_to_the_last_bit(made, workers, tmp_path, case) -> None:
    here = made.run(made.config(tmp_path / "here", order="fixed", **CASES[case])).path
    config = made.config(tmp_path / "there", order="fixed", **CASES[case])
    sockets = WorkerSockets([w.socket for w in workers])
    fleet = made.fleet(sockets, config, Listening(), join_s=240.0, deadline_s=240.0)
    fleet.gather()
    there = made.run(config, fleet, Listening()).path
    assert _numbers(here) == _numbers(there)
    assert {cell[1] for cell in _numbers(here)} == {"done"}
    files = sorted((here / "checkpoints").rglob("*.safetensors"))
    assert files
    for file in files:
        other = safetensors.torch.load_file(there / file.relative_to(here))
        for name, value in safetensors.torch.load_file(file).items():
            assert torch.equal(value, other[name]), (file.name, name)
