"""What the report shows of a fine-tuning run, from files made by hand."""

import json

import pandas as pd
import pytest

from analysis.core.exhibits import find_exhibits
from analysis.core.figures.drawing import Drawing
from analysis.core.loading import load_run
from analysis.lora.figures import loss_over_spending, rank_cost, update_error
from analysis.lora.tables.tuning import learning_table, spending_table
from harness.core.schema import CELLS, METRICS, PHASE_ROWS
from harness.run_folder.results import csv_text

METHODS = {"zeropad": (2.0, 0.25, 3_000_000), "flora": (1.0, 0.5, 9_000_000)}
"""Loss, exact match and bytes down; the base answers a tenth right."""

RANKS, ROWS = (4, 2), (100, 300)


def metric(cell, rounds, task, name, value):
    return {"run_id": "r", "cell": cell, "round": rounds, "job": "adapters", "task": task,
            "phase": "evaluate", "metric": name, "value": value, "unit": ""}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    cells, metrics, phases = [], [], []
    for method, (loss, exact, down) in METHODS.items():
        for seed in (0, 1):
            cell = f"{method}-s{seed}-r0"
            cells.append(
                {"run_id": "r", "cell": cell, "device": "x86", "host_matches_device": True,
                 "method": method, "tasks": "", "seed": seed, "repeat": 0, "rounds": 2,
                 "clients": 2, "clients_per_round": 2, "time_s": 8.0 + seed, "energy_model_j": 80.0,
                 "upload_bytes": 1_000_000, "download_bytes": down,
                 "peak_memory_bytes": 2**31, "status": "done", "workload": "lora",
                 "objective": "mixture_loss", "objective_value": loss + seed,
                 "objective_better": "lower"}
            )  # fmt: skip
            for rounds in (1, 2):
                metrics += [
                    metric(cell, rounds, "mixture", "test_loss", loss + seed + 2 - rounds),
                    metric(cell, rounds, "mixture", "exact_match", exact),
                    metric(cell, rounds, "mixture", "aggregation_error",
                           0.5 / rounds if method == "zeropad" else 0.0),
                ]  # fmt: skip
                phases += [
                    {"run_id": "r", "cell": cell, "job": "adapters", "round": rounds - 1,
                     "client": str(client), "phase": "train", "start_s": 0.0, "end_s": 2.0,
                     "time_s": 2.0, "cpu_s": 2.0, "energy_model_j": 10.0 * (client + 1)}
                    for client in range(2)
                ]  # fmt: skip
            metrics += [
                metric(cell, 0, "mixture", "base_exact_match", 0.1),
                metric(cell, 2, "", "tokens_trained", 4000.0),
                metric(cell, 2, "text", "forgotten", 0.3),
                *(metric(cell, 2, f"client {c}", "rank", r) for c, r in enumerate(RANKS)),
            ]  # fmt: skip
    manifest = {
        "schema_version": 4, "run_id": "r", "status": "done", "workload": "lora", "quick": False,
        "command": "", "created": "2026-01-01T00:00:00+00:00", "host": {},
        "objective": {"name": "mixture_loss", "better": "lower", "reference": "zeropad"},
        "device": {"name": "x86", "title": "x86"}, "config": {"model": "letters"},
        "adapters": {"ranks": list(RANKS), "boards": []}, "data": {"rows": list(ROWS)},
    }  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    for name, columns, rows in (("cells.csv", CELLS, cells), ("metrics.csv", METRICS, metrics),
                                ("phases.csv", PHASE_ROWS, phases)):  # fmt: skip
        (tmp_path / name).write_text(csv_text(columns, rows))
    return load_run(tmp_path)


def column(table, key):
    index = [heading.key for heading in table.headings].index(key)
    return {row[0]: row[index].mean for row in table.rows}


def test_it_is_found_by_the_workload_s_name(run):
    exhibits = find_exhibits("lora")
    assert update_error in exhibits.figures
    assert any("embedded" in words for words in exhibits.remarks(run))


def test_what_was_learnt_stands_in_one_row_a_method(run):
    table = learning_table([run])
    assert column(table, "mixture_loss") == {"zeropad": 2.5, "flora": 1.5}
    # a quarter, and nothing, which is shown as 10⁻⁹
    assert column(table, "aggregation_error") == {"zeropad": -0.6, "flora": -9.0}
    assert column(table, "forgotten") == {"zeropad": 0.3, "flora": 0.3}


def test_joules_are_divided_by_tokens_adapters_and_points(run):
    """80 J: 20 a thousand tokens, 40 an adapter of two, and by 15 and 40 points gained."""
    table = spending_table([run])
    assert column(table, "j_per_kilotoken") == {"zeropad": 20.0, "flora": 20.0}
    assert column(table, "j_per_adapter") == {"zeropad": 40.0, "flora": 40.0}
    assert column(table, "j_per_point") == pytest.approx({"zeropad": 80 / 15, "flora": 2.0})
    assert column(table, "board_share") == {"zeropad": 50.0, "flora": 50.0}
    assert column(table, "download_mb") == {"zeropad": 3.0, "flora": 9.0}


def test_nothing_is_divided_by_points_that_were_not_gained(run):
    worse = run.metrics.copy()
    worse.loc[worse["metric"] == "exact_match", "value"] = 0.05
    lost = type(run)(run.folder, run.manifest, run.cells, worse, run.phases)
    assert "j_per_point" not in [heading.key for heading in spending_table([lost]).headings]


def test_the_loss_is_drawn_over_what_was_spent_by_then(run):
    """A round costs 30 J: 10 and 20 of the two clients; 4 MB and 10 MB in two rounds."""
    joules, sent = loss_over_spending.drawings(run)
    assert isinstance(joules, Drawing)
    own = joules.drawn[joules.drawn["method"] == "flora"]
    assert own["x"].tolist() == [30.0, 60.0]
    assert own["y"].tolist() == [2.5, 1.5]
    own = sent.drawn[sent.drawn["method"] == "zeropad"]
    assert own["x"].tolist() == [2.0, 4.0]


def test_the_error_is_drawn_by_round_and_zero_has_a_place(run):
    (figure,) = update_error.drawings(run)
    own = figure.drawn[figure.drawn["method"] == "zeropad"]
    assert own["y"].tolist() == [0.5, 0.25]
    assert figure.drawn["y"].min() > 0.0


def test_the_cost_of_a_rank_is_that_of_clients_with_as_many_rows(run):
    """20 J of 300 rows are 13.3 for the mean client of 200; 10 J of 100 rows are 20."""
    (figure,) = rank_cost.drawings(run)
    drawn = figure.drawn[figure.drawn["method"] == "flora"].set_index("rank")["cost"]
    assert drawn[4.0] == pytest.approx(20.0)
    assert drawn[2.0] == pytest.approx(40.0 / 3.0)


def test_one_place_for_all_rows_is_no_client_and_methods_keep_their_order(run):
    """central costs what all clients do together: beside them it would press them to the floor."""
    cells = run.cells.assign(method=run.cells["method"].replace("zeropad", "central"))
    pooled = type(run)(run.folder, run.manifest, cells, run.metrics, run.phases)
    (figure,) = rank_cost.drawings(pooled)
    assert set(figure.drawn["method"]) == {"flora"}
    (figure,) = rank_cost.drawings(run)
    assert list(dict.fromkeys(figure.drawn["method"])) == list(run.methods)


def test_ranks_are_labelled_with_the_boards_that_they_stand_for(run):
    from matplotlib.figure import Figure  # noqa: PLC0415

    drawn = rank_cost.prepare(run).assign(board=["pi", "orin"] * 2)
    ax = rank_cost.draw(Figure().subplots(), drawn, "J")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["2\npi", "4\norin"]


def test_without_values_nothing_is_drawn_and_it_is_said_why(run):
    bare = type(run)(run.folder, run.manifest, run.cells, run.metrics.iloc[:0], run.phases)
    for series in (loss_over_spending, update_error, rank_cost):
        assert not any(isinstance(x, Drawing) for x in series.drawings(bare))


def with_phases(run, phases, cells=None):
    return type(run)(
        run.folder, run.manifest, run.cells if cells is None else cells, run.metrics, phases
    )


def test_repeats_of_a_client_count_once(run):
    """Seed 0 took the mean client 20 J and, repeated, 40; seed 1 took 20: (30 + 20) / 2."""
    again = {"flora-s0-r0": "flora-s0-r1"}
    more = run.phases[run.phases["cell"] == "flora-s0-r0"].copy()
    more = more.assign(cell="flora-s0-r1", energy_model_j=2 * more["energy_model_j"])
    cells, metrics = (
        pd.concat([f, f[f["cell"].isin(again)].assign(cell=lambda x: x["cell"].map(again))])
        for f in (run.cells, run.metrics)
    )
    both = type(run)(run.folder, run.manifest, cells, metrics, pd.concat([run.phases, more]))
    drawn = rank_cost.prepare(both)
    drawn = drawn[drawn["method"] == "flora"].set_index("rank")
    assert drawn.loc[4.0, "cost"] == pytest.approx(25.0)
    assert drawn.loc[4.0, "clients"] == 2


def test_no_part_of_a_cost_is_drawn_as_all_of_it(run):
    """Without the joules of one client-round a seed leaves the line, and that client its rank."""
    phases = run.phases.copy()
    lost = (phases["cell"] == "flora-s0-r0") & (phases["client"] == "0") & (phases["round"] == 0)
    phases.loc[lost, "energy_model_j"] = float("nan")
    torn = with_phases(run, phases)
    own = loss_over_spending.drawings(torn)[0].drawn
    own = own[own["method"] == "flora"]
    assert own["x"].tolist() == [30.0, 60.0]
    assert own["n"].tolist() == [1, 1]
    ranks = rank_cost.prepare(torn)
    ranks = ranks[ranks["method"] == "flora"].set_index("rank")
    assert ranks.loc[4.0, ["cost", "clients"]].tolist() == [20.0, 1]
