"""Tables and figures of inference say what its rows say; unlike costs are never added."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from analysis.core.figures.drawing import Drawing, NotDrawn
from analysis.core.loading import load_run
from analysis.core.numbers import SeedMean
from analysis.core.pooling import pool
from analysis.multitask.figures import inference_cost, life_cycle
from analysis.multitask.figures.life_cycle import Life, count, crossings
from analysis.multitask.inference import inference_rows
from analysis.multitask.tables.inference import inference_tables
from analysis.report import write_report
from harness.core.errors import HarnessError
from harness.core.schema import INFERENCE, INFERENCE_METRICS
from tests.analysis.conftest import TASKS, RunSpec, cell_name, write_csv
from tests.analysis.core.test_figure_parts import painted, too_few_ticks

JOULES = {"independent": 0.020, "all-in-one": 0.008, "mas:splits=2": 0.010}
"""Per complete answer in fp32; int8 takes half, torch three times as much."""
FACTORS = {("onnxruntime", "fp32"): 1.0, ("onnxruntime", "int8"): 0.5, ("torch", "fp32"): 3.0}
METERS = {"energy_meter": "ina3221", "energy_scope": "board", "energy_kind": "sampled"}


def answer(method: str, seed: int, runtime: str, precision: str, **changes) -> dict[str, object]:
    """Return a single-stream row at 5 W: latency follows from joules; seeds differ by 1 mJ."""
    joules = (JOULES[method] + 0.001 * seed) * FACTORS[runtime, precision]
    images = 1000
    return {
        "run_id": "r", "cell": cell_name(method, seed, 0), "device": "jetson-nano",
        "host_matches_device": True, "method": method, "seed": seed, "repeat": 0, "job": "",
        "tasks": TASKS, "models": 5 if method == "independent" else 1, "runtime": runtime,
        "precision": precision, "provider": "cpu", "scenario": "single-stream", "threads": 4,
        "batch_size": 1, "queries": images, "images": images, "start_s": 0.0,
        "time_s": images * joules / 5.0, "latency_mean_s": joules / 5.0,
        "latency_p50_s": joules / 5.0, "latency_p90_s": joules / 4.0,
        "throughput_images_per_s": 5.0 / joules, "energy_j": images * joules,
        "energy_per_image_j": joules, "energy_model_j": 2 * images * joules,
        "energy_model_per_image_j": 2 * joules, **METERS, "model_bytes": 1_500_000,
        "total_loss": 1.5 + 0.1 * seed + (0.05 if precision == "int8" else 0.0),
        "status": "done", **changes,
    }  # fmt: skip


def offline(method: str, seed: int, size: int) -> dict[str, object]:
    """A batch goes through at 100 images a second times its size."""
    own = {"scenario": "offline", "batch_size": size, "throughput_images_per_s": 100.0 * size,
           "queries": 1000 // size, "time_s": 10.0 / size,
           "latency_mean_s": None, "latency_p50_s": None, "latency_p90_s": None}  # fmt: skip
    return answer(method, seed, "onnxruntime", "fp32", **own)


@pytest.fixture
def make_inferred(make_run):
    """Return a function that writes a run with figures of inference beside it."""

    def make(seeds: int = 2, change=lambda row: row, facts=None, **fields) -> Path:
        folder = make_run(seeds=seeds, **fields)
        rows = [
            answer(method, seed, *variant)
            for method in JOULES
            for seed in range(seeds)
            for variant in FACTORS
        ]
        rows += [offline(m, s, size) for m in JOULES for s in range(seeds) for size in (1, 8)]
        rows.append(answer("independent", 0, "onnxruntime", "fp32", job="s", tasks="s", models=1))
        rows.append(answer("mas:splits=2", 0, "torch", "fp32", status="failed", threads=99))
        run_id = fields.get("run_id", RunSpec.run_id)
        rows = [{**row, "run_id": run_id} for row in rows]
        write_csv(folder / "inference.csv", INFERENCE, [change(row) for row in rows])
        losses = [
            {"run_id": run_id, "cell": cell_name(method, 0, 0), "job": TASKS, "task": task,
             "runtime": "onnxruntime", "precision": precision, "provider": "cpu",
             "metric": "test_loss", "value": 0.1 * number + (0.01 if precision == "int8" else 0)}
            for method in JOULES
            for precision in ("fp32", "int8")
            for number, task in enumerate(TASKS, 1)
        ]  # fmt: skip
        write_csv(folder / "inference" / "metrics.csv", INFERENCE_METRICS, losses)
        host = json.loads((folder / "manifest.json").read_text())["host"]
        manifest = {
            "device": {"name": "jetson-nano", "title": "NVIDIA Jetson Nano"}, "quick": False,
            "host": {**host, "matches_device": True}, "meter_reason": "", **(facts or {}),
        }  # fmt: skip
        (folder / "inference" / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return make


def table(runs, name):
    (found,) = [t for t in inference_tables(runs) if t is not None and t.name == name]
    return found


def column(found, key):
    index = [heading.key for heading in found.headings].index(key)
    return [row[index] for row in found.rows]


def test_a_run_without_inference_has_no_table_and_says_what_to_type(make_run) -> None:
    run = load_run(make_run())
    assert inference_tables([run]) == []
    (outcome,) = inference_cost.drawings(run)
    assert isinstance(outcome, NotDrawn)
    assert "python -m harness.infer" in outcome.reason
    assert life_cycle.drawings(run) == []


def test_the_table_of_answers_by_hand(make_inferred) -> None:
    """Means over two seeds; the best batch is 8; a failed row counts nowhere."""
    found = table([load_run(make_inferred())], "inference")
    assert column(found, "method") == [m for m in JOULES for _ in FACTORS]
    assert column(found, "with")[:3] == ["ONNX Runtime fp32", "ONNX Runtime int8", "torch fp32"]
    joules = column(found, "energy_mj")
    assert joules[0].mean == pytest.approx(20.5)
    assert joules[1].mean == pytest.approx(10.25)
    assert joules[8].mean == pytest.approx(31.5)
    assert (joules[0].n, column(found, "energy_model_mj")[0].mean) == (2, pytest.approx(41.0))
    assert column(found, "latency_p50_ms")[0].mean == pytest.approx(4.1)
    assert column(found, "throughput_images_per_s")[0].mean == pytest.approx(800.0)
    assert "board, sampled" in {heading.unit for heading in found.headings}.pop() or any(
        "board, sampled" in heading.unit for heading in found.headings
    )


def test_tasks_models_and_batches_have_tables(make_inferred) -> None:
    runs = [load_run(make_inferred())]
    tasks = table(runs, "inference_tasks")
    assert [value.mean for value in column(tasks, "loss_d")[:2]] == pytest.approx([0.2, 0.21])
    models = table(runs, "inference_models")
    assert column(models, "model") == ["s"]
    batches = table(runs, "inference_throughput")
    assert column(batches, "batch")[:2] == ["1", "8"]


def test_without_a_meter_the_words_say_modelled(make_inferred) -> None:
    empty = {"energy_j": None, "energy_per_image_j": None, **dict.fromkeys(METERS)}
    run = load_run(make_inferred(change=lambda row: row | empty, measured=False))
    found = table([run], "inference")
    assert "Energy is modelled from the device profile, not measured." in found.caption
    assert not any(heading.key.startswith("energy_mj") for heading in found.headings)
    (figure,) = inference_cost.drawings(run)
    assert figure.caption.startswith("Modelled energy per answer")
    assert "modelled from the device profile" in figure.note


def test_the_figure_has_a_point_per_method_and_precision(make_inferred) -> None:
    (figure,) = inference_cost.drawings(load_run(make_inferred()))
    points = {(r["method"], r["precision"]): r for _, r in figure.drawn.iterrows()}
    assert len(points) == 6
    mas = points["mas:splits=2", "int8"]
    assert (mas["cost"], mas["loss"], mas["n"]) == (pytest.approx(5.25e-3), pytest.approx(1.6), 2)
    ax = inference_cost.draw(Figure().add_subplot(), figure.drawn, "Measured energy (board)", "J")
    assert ax.get_xlabel() == "Measured energy (mJ)\n(board)"


def test_no_energy_at_all_leaves_latency(make_inferred) -> None:
    names = ("energy_j", "energy_per_image_j", "energy_model_j", "energy_model_per_image_j")
    empty = dict.fromkeys((*names, *METERS))
    run = load_run(make_inferred(change=lambda row: row | empty, measured=False, modelled=False))
    (figure,) = inference_cost.drawings(run)
    assert figure.caption.startswith("Mean latency per answer")
    assert "no energy figure" in figure.note


def test_crossing_points_by_hand() -> None:
    """10 + N = 100 + N/10 at N = 100; c costs more than both there, so it is cheapest's change."""
    lives = [Life("a", 10.0, 1.0), Life("b", 100.0, 0.1), Life("c", 500.0, 0.05)]
    met = crossings(lives)
    assert [(c.earlier, c.later) for c in met] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [c.answers for c in met] == pytest.approx([100.0, 490 / 0.95, 8000.0])
    assert [c.cheapest for c in met] == [True, False, True]
    for crossing in met:
        one, other = (next(x for x in lives if x.method == m)
                      for m in (crossing.earlier, crossing.later))  # fmt: skip
        assert one.total(crossing.answers) == pytest.approx(other.total(crossing.answers))
        assert one.total(2 * crossing.answers) > other.total(2 * crossing.answers)


def test_lines_that_never_cross_are_said_not_to() -> None:
    lives = [Life("a", 10.0, 1.0), Life("b", 20.0, 2.0), Life("c", 30.0, 2.0)]
    assert crossings(lives) == []
    assert "No two lines cross" in life_cycle.crossing_words([])


def test_life_cycle_adds_training_and_answers(make_inferred) -> None:
    """At every N: joules of training, mean over seeds, plus N times those of an answer."""
    (figure,) = life_cycle.drawings(load_run(make_inferred()))
    assert isinstance(figure, Drawing)
    own = figure.drawn[figure.drawn["method"] == "all-in-one"].iloc[-1]
    training = 5.0 * 102.0 * 0.45
    assert own["cost"] == pytest.approx(training + own["answers"] * 8.5e-3)
    assert figure.caption.startswith("Measured energy of training and N answers")
    assert too_few_ticks(painted(figure)) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"facts": {"device": {"name": "x86", "title": "PC"}}}, "inference for PC"),
        ({"facts": {"host": {"description": "b", "matches_device": True}}}, "inference on b"),
        ({"measured": False}, "never added"),
        ({"change": lambda row: row | {"energy_scope": "wall"}}, "measured by"),
    ],
)
def test_unlike_costs_are_never_added(make_inferred, changes, words) -> None:
    (outcome,) = life_cycle.drawings(load_run(make_inferred(**changes)))
    assert isinstance(outcome, NotDrawn)
    assert words in outcome.reason


@pytest.mark.parametrize(
    ("number", "words"),
    [(1.0, "1"), (9390.1, "9 400"), (350.4, "350"), (1.54e6, "1.5 million"), (2e9, "2.0e+09")],
)
def test_numbers_of_answers_have_two_digits(number, words) -> None:
    assert count(number) == words


def test_pooled_runs_keep_their_rows_apart(make_inferred) -> None:
    """Two runs of one series with seeds of their own: four seeds in all."""
    first = make_inferred(run_id="a")
    second = make_inferred(run_id="b", first_seed=2)
    lines = (second / "inference.csv").read_text()
    for seed in (1, 0):
        lines = lines.replace(f"-s{seed}-r0", f"-s{seed + 2}-r0").replace(
            f",{seed},0,", f",{seed + 2},0,"
        )
    (second / "inference.csv").write_text(lines)
    (run,) = pool([load_run(first), load_run(second)])
    rows = inference_rows(run)
    assert set(rows["cell"]) <= set(run.cells["cell"])
    found = table([run], "inference")
    value = column(found, "energy_mj")[0]
    assert isinstance(value, SeedMean)
    assert value.n == 4


def test_a_damaged_table_is_an_error(make_inferred) -> None:
    folder = make_inferred()
    (folder / "inference.csv").write_text("run_id\n1\n")
    with pytest.raises(HarnessError, match="lacks the column"):
        inference_rows(load_run(folder))


@pytest.mark.whole
def test_the_report_shows_it_and_is_the_same_twice(make_inferred) -> None:
    folder = make_inferred(seeds=1, trace=False)
    paths = write_report([folder])
    names = {path.name for path in paths.all()}
    assert {"inference.csv", "inference_tasks.tex", "inference_cost.pdf", "life_cycle.png"} <= names
    before = {path: path.read_bytes() for path in paths.all()}
    write_report([folder])
    assert {path: path.read_bytes() for path in paths.all()} == before


def test_inference_is_measured_in_the_folder_that_was_given(make_run, tmp_path) -> None:
    """A name alone would be looked for in results/, where another copy of the run may lie."""
    folder = make_run()
    other = folder.rename(tmp_path / "my copy")
    (missing,) = inference_cost.drawings(load_run(other))
    assert isinstance(missing, NotDrawn)
    words = shlex.split(missing.reason.partition("no inference was measured: ")[2])
    assert words == ["python", "-m", "harness.infer", str(other)]
