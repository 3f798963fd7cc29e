"""The ablation table compares variants with their method and with independent, seed by seed."""

from __future__ import annotations

import csv
import io
import math

import pytest

from analysis.core.loading import load_run
from analysis.core.pooling import pool
from analysis.core.tables.formats import to_csv, to_latex, to_markdown
from analysis.core.tables.macros import to_macros
from analysis.core.tables.variants import variant_table

FAMILY = ("independent", "mas-plus", "mas-plus:balance=no", "mas-plus:factor=2")
LOSS = {"independent": 4.0, "mas-plus": 3.0, "mas-plus:balance=no": 3.3, "mas-plus:factor=2": 2.7}
TIME = {"independent": 100.0, "mas-plus": 40.0, "mas-plus:balance=no": 30.0,
        "mas-plus:factor=2": 40.0}  # fmt: skip


def cell(method, seed):
    """Return the name of a cell."""
    return f"{method.replace(':', '-').replace('=', '-')}-s{seed}-r0"


def changes(methods=FAMILY, seeds=6, scale=1.0):
    """Return times and losses that are in the same ratio for every seed."""
    return {
        cell(method, seed): {
            "total_loss": scale * LOSS[method] * (1 + 0.1 * seed), "time_s": TIME[method] + 0.0,
            "energy_model_j": 2 * TIME[method], "energy_j": None,
        }
        for method in methods for seed in range(seeds)
    }  # fmt: skip


def ablation(make_run, methods=FAMILY, **fields):
    """Return a run of the family whose modelled energy is time × 2 W, so it has no ratio."""
    made = {"seeds": 6, "measured": False, "trace": False, "cell_changes": changes(), **fields}
    return load_run(make_run(methods=methods, **made))


def as_dicts(table):
    """Return the rows of the CSV file by method."""
    return {row["method"]: row for row in csv.DictReader(io.StringIO(to_csv(table)))}


def test_every_variant_stands_beside_the_method_and_independent(make_run):
    """Losses 3.3 and 2.7 of a method with 3.0, and of independent with 4.0, lowest first."""
    table = variant_table([ablation(make_run)])
    rows = as_dicts(table)
    assert list(rows) == ["mas-plus:factor=2", "mas-plus", "mas-plus:balance=no", "independent"]
    for method, row in rows.items():
        for key, reference in (("method", "mas-plus"), ("independent", "independent")):
            if method != reference:
                loss = float(row[f"loss_ratio_to_{key}"])
                assert loss == pytest.approx(LOSS[method] / LOSS[reference])
                time = float(row[f"time_ratio_to_{key}"])
                assert time == pytest.approx(TIME[method] / TIME[reference])
        assert row["cells_done"] == "6 of 6"
        assert not any("energy" in key for key in row)


def test_intervals_hold_the_ratio_and_p_is_corrected(make_run):
    """Six pairs of one sign: p = 2 / 2**6, times the three rows that are tested."""
    rows = as_dicts(variant_table([ablation(make_run)]))
    worse = rows["mas-plus:balance=no"]
    low, high = (float(worse[f"loss_ratio_to_method_{end}_95"]) for end in ("low", "high"))
    assert low <= 1.1 + 1e-9
    assert high >= 1.1 - 1e-9
    assert worse["loss_ratio_to_method_n"] == "6"
    assert float(worse["p_holm"]) == pytest.approx(3 * 2 / 2**6)
    assert rows["mas-plus"]["p_holm"] == ""


def test_below_six_pairs_there_is_no_p(make_run):
    """Five pairs cannot fall below 0.0625."""
    rows = as_dicts(variant_table([ablation(make_run, seeds=5)]))
    assert {row["p_holm"] for row in rows.values()} == {""}


def test_variants_that_failed_are_listed_with_the_reason(make_run):
    """What did not train is a result of an ablation, too; it comes last."""
    broken = {
        cell("mas-plus:factor=2", seed): {"status": "failed", "reason": "loss is nan",
                                          "total_loss": None}
        for seed in range(6)
    }  # fmt: skip
    table = variant_table([ablation(make_run, cell_changes={**changes(), **broken})])
    rows = as_dicts(table)
    assert list(rows)[-1] == "mas-plus:factor=2"
    assert rows["mas-plus:factor=2"]["loss_ratio_to_method"] == ""
    assert rows["mas-plus:factor=2"]["cells_done"] == "0 of 6"
    assert "Mas-plus:factor=2: 6 of 6 cells not finished, loss is nan." in table.caption


def test_a_run_without_variants_has_no_ablation(make_run):
    """Two splits of MAS are no variants of each other: there is no `mas` beside them."""
    methods = ("independent", "mas:splits=2", "mas:splits=3")
    run = load_run(make_run(methods=methods, run_id="none"))
    assert variant_table([run]) is None


def test_a_series_that_descends_otherwise_stands_in_the_table(make_run):
    """Independent training with the better descent is the fair opponent, so it is shown."""
    base = {"optimizer": "heavy-ball", "schedule": "polynomial"}
    run = ablation(make_run, config=base)
    better = load_run(
        make_run(
            run_id="better", methods=("independent",), seeds=6, measured=False, trace=False,
            config={"optimizer": "nesterov", "schedule": "hold"},
            cell_changes=changes(("independent",), scale=0.7),
        )
    )  # fmt: skip
    rows = as_dicts(variant_table(pool([run, better])))
    name = "independent (optimizer=nesterov, schedule=hold)"
    assert list(rows).index(name) == 1
    assert float(rows[name]["loss_ratio_to_method"]) == pytest.approx(2.8 / 3.0)
    assert float(rows[name]["loss_ratio_to_independent"]) == pytest.approx(0.7)


def test_a_series_of_another_workload_does_not(make_run):
    """More rounds are another workload: its losses say nothing about the variants."""
    run = ablation(make_run)
    longer = load_run(
        make_run(run_id="longer", methods=("independent",), seeds=6, config={"rounds": 99})
    )
    assert set(as_dicts(variant_table(pool([run, longer])))) == set(FAMILY)


def test_ratios_print_with_their_interval_everywhere(make_run):
    """Markdown, LaTeX and macros show ratio and bounds; CSV has them in full."""
    spread = changes()
    for seed in range(6):
        spread[cell("mas-plus:balance=no", seed)]["total_loss"] *= 1 + 0.01 * (-1) ** seed
    table = variant_table([ablation(make_run, cell_changes=spread)])
    row = as_dicts(table)["mas-plus:balance=no"]
    ratio, low, high = (
        float(row[f"loss_ratio_to_method{end}"]) for end in ("", "_low_95", "_high_95")
    )
    assert ratio == pytest.approx(1.1 * math.sqrt(1.01 * 0.99))
    assert low < ratio < high
    index = [heading.key for heading in table.headings].index("loss_ratio_to_method")
    digits = table.decimals(index)
    text = f"{ratio:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"
    assert text in to_markdown(table)
    assert f"{ratio:.{digits}f} & ~({low:.{digits}f}--{high:.{digits}f})" in to_latex(table)
    assert rf"\newcommand{{\VariantsMasPlusBalanceNoLossRatioToMethodLow}}{{{low:.{digits}f}}}" in (
        to_macros([table])
    )
