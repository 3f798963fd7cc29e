"""Reports of unlearning runs: tables, figures and sentences from the files alone."""

import csv
import math
import shutil

import pandas as pd
import pytest

from analysis.core.loading import load_run
from analysis.core.pooling import pool
from analysis.report import write_report
from analysis.unlearning.exhibits import EXHIBITS
from analysis.unlearning.figures import pays, request_cost, trace
from analysis.unlearning.reading import summary
from analysis.unlearning.tables import cost_table, published, published_table, quality_table
from harness.cli.run import main as run
from harness.workloads.unlearning.comparison import mean_of
from tests.harness.workloads.unlearning.test_run import OFF, TINY, only

METHODS = "retrain,sisa:shards=3,scif"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run of three methods and two seeds."""
    out = tmp_path_factory.mktemp("run")
    assert run([*TINY, *OFF, "--methods", METHODS, "--seeds", "0-1", "--out", str(out)]) == 0
    return only(out)


@pytest.fixture(scope="module")
def loaded(folder):
    return load_run(folder)


def text(content):
    return content if isinstance(content, str) else content.mean


def test_costs_are_the_means_of_the_files(loaded, folder) -> None:
    with (folder / "unlearning.csv").open(newline="") as stream:
        told = list(csv.DictReader(stream))
    table = cost_table([loaded])
    keys = [heading.key for heading in table.headings]
    for row in table.rows:
        own = [float(r["request_time_s"]) for r in told
               if (r["scenario"], r["method"]) == (row[0], row[1])]  # fmt: skip
        assert len(own) == 2
        assert row[keys.index("request_time_s")].mean == pytest.approx(sum(own) / 2)
    assert [row[0] for row in table.rows] == ["batch"] * 3 + ["stream"] * 3
    assert "generated data" in table.caption
    assert "(here: seconds)" in table.caption


def test_no_approximate_method_that_is_found_out_is_called_forgotten(loaded) -> None:
    rows = {(r[0], r[1]): r[-1] for r in quality_table([loaded]).rows}
    assert rows["batch", "retrain"] == rows["stream", "sisa:shards=3"] == "exact"
    assert rows["batch", "scif"] != "exact"
    for (scenario, method), words in rows.items():
        found = [r for r in summary(loaded) if (r["scenario"], r["method"]) == (scenario, method)]
        if any(str(r["completeness"]).startswith("not forgotten") for r in found):
            assert words.startswith("not forgotten")


def test_every_figure_is_drawn_and_says_what_data(loaded) -> None:
    for module in (request_cost, pays, trace):
        found = module.drawings(loaded)
        assert found
        assert all("generated data" in drawing.note for drawing in found)


def test_a_method_has_paid_where_its_line_meets_that_of_training_anew() -> None:
    rows = [
        {"method": "retrain", "seed": 0, "s": 10.0, "r": 6.0},
        {"method": "sisa", "seed": 0, "s": 20.0, "r": 1.0},
        {"method": "receraser", "seed": 0, "s": 20.0, "r": 7.0},
    ]
    found = pays.prepare(rows, "s", "r").set_index("method")
    assert found.loc["sisa", "break_even"] == 2.0
    assert found.loc[["retrain", "receraser"], "break_even"].isna().all()


def test_sentences_name_completeness_beside_every_cost(loaded) -> None:
    remarks = list(EXHIBITS.remarks(loaded))
    assert remarks[-1] == "All of this is on generated data."
    for remark in remarks[:-1]:
        for part in remark.removesuffix(".").split("; "):
            if "NDCG@20" in part:
                assert any(w in part for w in ("exact", "forgotten", "approximate", "not known"))


def test_published_figures_stand_beside_ours_only_where_the_setting_is_the_same(
    loaded, folder, tmp_path
) -> None:
    assert published_table([loaded]) is None
    assert [text(x) for x in published("wmf")["ultrare"]] == [0.2354, 0.2282, 482.0]
    assert not published("nothing")
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    manifest = (copy / "manifest.json").read_text()
    manifest = manifest.replace('"origin": "generated"', '"origin": "real"')
    manifest = manifest.replace('"share": 0.1', '"share": 0.05')
    manifest = manifest.replace('"users": 60', '"users": 943')
    (copy / "manifest.json").write_text(manifest)
    table = published_table([load_run(copy)])
    assert [row[0] for row in table.rows] == ["retrain", "sisa:shards=3", "scif"]
    assert "not cut at 20" in table.caption


def test_pooled_runs_are_compared_anew(folder, loaded, tmp_path) -> None:
    """The reference may lie in another run of the series."""
    out = tmp_path / "more"
    assert run([*TINY, *OFF, "--methods", METHODS, "--seeds", "2", "--out", str(out)]) == 0
    (together,) = pool([loaded, load_run(only(out))])
    found = summary(together)
    assert {r["seed"] for r in found} == {0, 1, 2}
    assert all(r["ratio_to_retrain"] is not None for r in found)


@pytest.mark.whole
def test_the_whole_page_is_written(folder, tmp_path) -> None:
    paths = write_report([folder], tmp_path / "report")
    page = paths.page.read_text()
    assert "unlearning_costs" in page
    assert "mia_item" in page
    assert {"unlearning_trace.png", "unlearning_request_batch.png"} <= {
        path.name for path in paths.figures
    }


REPEATED = [
    {"method": "retrain", "seed": seed, "completeness": "exact", "cost": cost, "ndcg_20": ndcg}
    for seed, cost, ndcg in ((0, 1.0, 0.1), (0, 3.0, 0.3), (1, 8.0, 0.6))
]
"""Two repeats of a seed, which cost 2 on average and reach 0.2, and one of another."""


def test_repeats_of_a_seed_are_one_point_of_the_cost_of_a_request() -> None:
    """Seeds of 2 and 8 have the mean 5; those of 0.2 and 0.6 a half-width of 12.7062 × 0.2."""
    (row,) = request_cost.prepare(REPEATED, "cost").to_dict(orient="records")
    assert (row["cost"], row["ndcg_20"], row["n"]) == (5.0, pytest.approx(0.4), 2)
    assert row["half_width"] == pytest.approx(12.7062 * 0.2, rel=1e-4)
    (alone,) = request_cost.prepare(REPEATED[:2], "cost").to_dict(orient="records")
    assert (alone["half_width"], alone["n"]) == (None, 1)


def test_lines_and_sentences_are_means_over_seeds() -> None:
    drawn = pays.prepare(REPEATED, "cost", "ndcg_20")
    assert drawn.loc[0, ["setup", "request"]].tolist() == pytest.approx([5.0, 0.4])
    assert mean_of(REPEATED, "cost") == 5.0
    assert mean_of([*REPEATED, {"seed": 2, "cost": None}], "cost") is None
    assert mean_of([*REPEATED, {"seed": 2, "cost": math.inf}], "cost") == math.inf
    stream = pd.DataFrame([
        {**row, "scenario": "stream", "request": request, "time_s": row["cost"],
         "energy_model_j": 1.0}
        for row in REPEATED for request in (1, 2)
    ])  # fmt: skip
    assert trace.prepare(stream)["time_s"].tolist() == [5.0, 5.0]
