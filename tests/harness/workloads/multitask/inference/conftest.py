"""Write run folders whose cells leave models, without training any."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import safetensors.torch

from harness.core.schema import CELLS, METRICS, PHASE_ROWS, SCHEMA_VERSION
from harness.evidence.reading import RunFiles, read_run
from harness.run_folder.results import csv_text
from harness.workloads.multitask.inference.deployment import Deployment, Model
from models.multitask.network import Architecture, build

SERVING = {
    "independent": {"s": "s", "d": "d", "n": "n"},
    "all-in-one": {"sdn": "sdn"},
    "hoa:splits=2": {"sd": "s", "dn": "dn"},  # d is served by the second model
    "standalone": {"sdn@0": "sdn", "sdn@1": "sdn"},
}
"""Method → job → tasks that its model serves."""


@pytest.fixture
def write_run(tmp_path):
    """Return what writes a finished run of the methods above: weights are files of two bytes."""

    def write(serves: bool = True, seeds=(0, 1), **manifest: object) -> RunFiles:
        folder = tmp_path / "a-run"
        folder.mkdir()
        cells, metrics = [], []
        for seed in seeds:
            for method, serving in SERVING.items():
                cell = f"{method.replace(':', '-').replace('=', '-')}-s{seed}-r0"
                cells.append(cell_row(cell, method, seed, serving))
                for job, tasks in serving.items():
                    metrics += metric_rows(cell, job, tasks, serves)
                    path = folder / "checkpoints" / cell / f"{job}.safetensors"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(b"{}")
        for name, columns, rows in (("cells", CELLS, cells), ("metrics", METRICS, metrics),
                                    ("phases", PHASE_ROWS, [])):  # fmt: skip
            (folder / f"{name}.csv").write_text(csv_text(columns, rows))
        facts = {"schema_version": SCHEMA_VERSION, "run_id": "a-run", "status": "done",
                 "config": {}, **manifest}  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps(facts))
        return read_run(folder)

    return write


def cell_row(cell: str, method: str, seed: int, serving: Mapping[str, str]) -> dict[str, object]:
    groups = dict.fromkeys(job.partition("@")[0] for job in serving)
    return {
        "run_id": "a-run", "cell": cell, "method": method, "tasks": "sdn", "seed": seed,
        "repeat": 0, "status": "done", "groups": "|".join(groups),
    }  # fmt: skip


def metric_rows(cell: str, job: str, tasks: str, serves: bool) -> list[dict[str, object]]:
    """An early loss of 9 and a last one of 1 for every task of the job."""
    own = {"run_id": "a-run", "cell": cell, "job": job, "phase": "evaluate"}
    rows = [
        own | {"task": task, "round": done, "metric": "test_loss", "value": value}
        for done, value in ((4, 1.0), (2, 9.0))
        for task in job.partition("@")[0]
    ]
    if serves:
        rows += [own | {"task": t, "round": 4, "metric": "serves", "value": 1.0} for t in tasks]
    return rows


@pytest.fixture
def deployed(tmp_path, tiny_architecture: Architecture):
    """Return what makes a cell of tiny networks with files of weights, one per group."""

    def make(*groups: str) -> Deployment:
        models = []
        for number, group in enumerate(groups):
            net = build(tiny_architecture, group, number)
            path: Path = tmp_path / f"{group}.safetensors"
            tensors = {k: v.contiguous() for k, v in net.state_dict().items()}
            safetensors.torch.save_file(tensors, path)
            models.append(Model(group, group, group, path, {}))
        return Deployment("mas-s0-r0", "mas", 0, 0, tuple(models))

    return make
