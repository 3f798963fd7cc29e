"""Check that a run's jobs are read by their names as methods give them."""

from types import SimpleNamespace

import pytest

from harness.workloads.multitask.evidence import _passes, _settings
from harness.workloads.multitask.job import Job, tasks_named
from harness.workloads.multitask.methods.registry import parse
from harness.workloads.multitask.methods.schedule import Setting
from harness.workloads.multitask.work import training


def _names(method: str, setting: Setting) -> list[str]:
    """Return the names of the first jobs of a method, each of which may serve."""
    return [next(parse(method).schedule(setting)).name]


@pytest.mark.parametrize(
    ("method", "setting"),
    [("all-in-one", Setting("sdn", 2)), ("tuned-weights", Setting("sdn", 2)),
     ("standalone", Setting("sdn", 2, clients=3)),
     ("apart", Setting("sdn", 2, clients=2, client_tasks=("sdn", "sd")))],
)  # fmt: skip
def test_what_serves_agrees_with_the_groups_of_its_cell(method: str, setting: Setting) -> None:
    """Whatever a method calls its jobs, by clients or as a try, their tasks are the group's."""
    (job,) = _names(method, setting)
    row = {"cell": "c", "metric": "serves", "job": job, "unit": ""}
    for groups, wrong in (("nsd", 0), ("ns|d", 1)):
        run = SimpleNamespace(
            section=lambda _: {},
            tables={"metrics.csv": SimpleNamespace(rows=[row])},
            cells=[{"cell": "c", "groups": groups, **dict.fromkeys(
                ("tasks", "rounds", "clients", "clients_per_round"))}],
        )  # fmt: skip
        assert len(list(_settings(run))) == wrong


def test_tasks_are_named_before_clients_and_variants() -> None:
    for job in (Job("sd", 1), Job("sd", 1, clients=(3, 4)), Job("sd", 1, variant="2"),
                Job("sd", 1, clients=tuple(range(20)), variant="2")):  # fmt: skip
        assert tasks_named(job.name) == "sd"


@pytest.mark.parametrize("method", ["mas", "famo", "famo:again=no", "db-mtl", "pcgrad", "apart",
                                    "mgda:at=features", "of-another-program"])  # fmt: skip
def test_look_aheads_are_what_training_leaves_whatever_its_passes_are_worth(method: str) -> None:
    """Under the published protocol every method looks ahead, whatever its rule."""
    images, known = 12, method in ("famo", "db-mtl", "pcgrad")
    rule = next(parse(method).schedule(Setting("sdn", 2))).local if known else None
    trained = training("sdn", images, rule).forwards
    counted = {"trained encoder": float(images), "trained decoders": 3.0 * images}
    counted |= {f"forward {part}": passes + 10.0 for part, passes in trained.items()}
    row = {"cell": "c", "method": method, "tasks": "sdn", "encoder_passes": images,
           "decoder_passes": 3 * images, "look_ahead_encoder_forwards": 10.0,
           "look_ahead_decoder_forwards": 30.0}  # fmt: skip
    claims = list(_passes(row, counted, looked=True))
    assert len(claims) == (3 if method == "of-another-program" else 4)
    assert all(stated == found for _, stated, found, _ in claims)
