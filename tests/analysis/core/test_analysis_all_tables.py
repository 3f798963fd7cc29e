"""The tables of a report hold the numbers that follow from the synthetic run's closed forms."""

from __future__ import annotations

import json

import pytest

from analysis.core.basis import cost_basis
from analysis.core.loading import load_run
from analysis.core.numbers import SeedMean, last_task_losses, per_seed, serving_rows
from analysis.core.pooling import pool
from analysis.core.tables.cost import cost_table
from analysis.core.tables.formats import to_latex
from analysis.core.tables.groups import groups_table
from analysis.core.tables.main import main_table
from analysis.core.tables.pairs import pair_table
from analysis.core.tables.phases import phase_tables
from analysis.core.tables.setup import settings_table, setup_table
from analysis.core.tables.table import Absent, column_ranks
from analysis.core.words import origin_words, provenance
from analysis.multitask.tables.tasks import all_measures_table, measure_table, task_loss_table
from tests.analysis.conftest import INTERVAL


def column(table, key):
    """Return the contents of a column by its key, in the order of the rows."""
    index = [heading.key for heading in table.headings].index(key)
    return [row[index] for row in table.rows]


def keys(table):
    """Return the keys of all columns."""
    return [heading.key for heading in table.headings]


def test_means_and_half_widths_over_seeds(make_run):
    """Times 100, 104, 108 have mean 104 and half-width 4.3027 × 4 / √3; energy is five times it."""
    table = main_table([load_run(make_run())])
    time = column(table, "time_s")[0]
    energy = column(table, "energy_j")[0]
    assert time.mean == pytest.approx(104.0)
    assert time.half_width == pytest.approx(4.302653 * 4 / 3**0.5)
    assert time.n == 3
    assert energy.mean == pytest.approx(520.0)
    assert column(table, "energy_model_j")[0].mean == pytest.approx(416.0)


def test_ratio_is_paired_by_seed(make_run):
    """Every seed has the same ratio although times differ; three of one ratio show no spread."""
    table = pair_table([load_run(make_run())])
    rows = {(row[0], row[1]): row for row in table.rows}
    ratio, low, high, pairs = rows["mas:splits=2", "time"][2:6]
    assert ratio.mean == pytest.approx(0.5)
    assert low == high
    assert low.reason.startswith("3 pairs agree as far as their digits go")
    assert pairs == "3"
    assert rows["all-in-one", "measured energy"][2].mean == pytest.approx(0.45)


def test_no_p_below_six_pairs(make_run):
    """Three pairs cannot reach p = 0.25; the dash says so instead of a star."""
    row = pair_table([load_run(make_run())]).rows[0]
    words = "With 3 pairs p cannot fall below 0.25; no test below 6 pairs."
    assert row[6:] == [Absent(words), Absent(words)]


def test_p_of_six_equal_signs_and_its_correction(make_run):
    """Six seeds that all agree give 2/64; Holm doubles it for two methods."""
    table = pair_table([load_run(make_run(seeds=6))])
    assert [content.mean for content in table.rows[0][6:]] == pytest.approx([2 / 64, 4 / 64])


def test_cost_to_target(make_run):
    """Independent reaches its own last loss with its last joule; a worse method never does.

    mas loses 0.03 against it, so it is there once 1.5 · 2^(-r/2) ≤ 0.03 + 1.5 / 16: after round 8,
    because round 7 leaves 0.1326. All-in-one ends 0.08 higher.
    """
    values = column(main_table([load_run(make_run())]), "energy_to_target_j")
    assert values[0].mean == pytest.approx(520.0)
    assert values[1] == Absent("Target reached by 0 of 3 seeds.")
    assert values[2].mean == pytest.approx(260.0)


def test_mean_power_is_joules_over_seconds(make_run):
    """The synthetic meter reads 5 W throughout."""
    watts = column(main_table([load_run(make_run())]), "power_w")
    assert [value.mean for value in watts] == pytest.approx([5.0] * 3)


def test_units_are_scaled_once(make_run):
    """512 000 000 bytes are 512 MB; 30 MB go up and 32 MB come down."""
    run = load_run(make_run())
    assert column(main_table([run]), "peak_memory_mb")[0].mean == pytest.approx(512.0)
    assert column(cost_table([run]), "upload_mb")[0] == SeedMean(30.0, None, 3)
    assert column(cost_table([run]), "download_mb")[0].mean == pytest.approx(32.0)


def test_memory_of_a_gpu_is_a_column_only_where_a_gpu_trained(make_run):
    """2 GB in every cell of one run; the run of a processor beside it has no figure there."""
    plain, name = load_run(make_run()), "peak_gpu_memory_mb"
    assert name not in [c.key for c in main_table([plain]).headings]
    names = list(plain.cells["cell"])
    gpu = load_run(make_run(run_id="gpu", cell_changes={
        cell: {"peak_gpu_memory_bytes": 2_000_000_000} for cell in names}))  # fmt: skip
    found = column(main_table([plain, gpu]), name)
    assert [isinstance(value, Absent) for value in found] == [True] * 3 + [False] * 3
    assert [value.mean for value in found[3:]] == pytest.approx([2000.0] * 3)


def test_repeats_are_averaged_within_a_seed(make_run):
    """Four repeats of one seed are still n = 1 without spread; their times are averaged."""
    run = load_run(make_run(seeds=1, repeats=4))
    assert per_seed(run.cells, "independent", "time_s") == {0: pytest.approx(101.5)}
    table = main_table([run])
    assert column(table, "time_s")[0].half_width is None
    assert "n = 1 seed, so no spread can be given." in table.caption


def test_measured_and_modelled_energy_stand_apart(make_run):
    """The measured column names scope and kind; the modelled one says modelled."""
    table = main_table([load_run(make_run())])
    labels = {heading.key: (heading.title, heading.unit) for heading in table.headings}
    assert labels["energy_j"] == ("Energy, measured", "J; board, sampled")
    assert labels["energy_model_j"] == ("Energy, modelled", "J")


def test_without_meter_the_column_goes_and_the_caption_says_why(make_run):
    """An empty measured column is dropped, with the reason from the cells."""
    table = main_table([load_run(make_run(measured=False))])
    assert "energy_j" not in keys(table)
    assert "No measured energy: no sensor on this host." in table.caption
    assert "energy_model_j" in keys(table)


def test_without_any_energy_both_columns_go(make_run):
    """A profile without a power model leaves no energy at all, and the caption says both."""
    table = main_table([load_run(make_run(measured=False, modelled=False))])
    assert not [key for key in keys(table) if key.startswith(("energy", "power"))]
    assert "time_to_target_s" in keys(table)
    assert "No modelled energy: the profile has no model." in table.caption


def test_two_meters_get_two_columns(make_run):
    """Readings of different scope never share a column."""
    changes = {"energy_meter": "plug", "energy_scope": "wall", "energy_kind": "counter"}
    run = load_run(make_run(seeds=1, cell_changes={"all-in-one-s0-r0": changes}))
    found = [key for key in keys(main_table([run])) if key.startswith("energy_j_")]
    assert found == ["energy_j_ina3221_board_sampled", "energy_j_plug_wall_counter"]
    absent = column(main_table([run]), "energy_j_plug_wall_counter")[0]
    assert absent == Absent("Not measured by plug.")


def test_a_spoilt_measurement_is_a_smaller_n(make_run):
    """A seed without valid energy is missing from the energy's n, and the caption says so."""
    lost = {"energy_j": None, "energy_reason": "gap"}
    run = load_run(make_run(cell_changes={"all-in-one-s1-r0": lost}))
    table = main_table([run])
    assert column(table, "energy_j")[1].n == 2
    assert "Energy of all-in-one was measured in 2 of 3 seeds." in table.caption


def test_host_mismatch_and_quick_are_in_words(make_run):
    """A table of another host's run says where it was trained and what is modelled."""
    run = load_run(make_run(seeds=1, matches=False, measured=False, quick=True))
    table = main_table([run])
    assert "Trained on x86-64 laptop, 2 cores, 8 GB; NVIDIA Jetson Nano modelled" in table.caption
    assert f"Nano modelled ({INTERVAL})" in table.caption
    assert INTERVAL in " ".join(cost_basis(run).notes)
    assert "not for publication" in table.caption
    assert next(h.title for h in table.headings if h.key == "time_s") == "Time on host"
    assert column(table, "time_model_s")[0].mean == pytest.approx(900.0)


def test_origin_claims_no_model_that_is_not_there(make_run):
    """Without modelled numbers a foreign host is "not on" the device."""
    spec = {"time_model_s": None}
    names = ["independent-s0-r0", "all-in-one-s0-r0", "mas-splits-2-s0-r0"]
    run = load_run(
        make_run(
            seeds=1, matches=False, measured=False, modelled=False,
            cell_changes=dict.fromkeys(names, spec),
        )
    )  # fmt: skip
    assert origin_words(run) == "trained on x86-64 laptop, 2 cores, 8 GB; not on NVIDIA Jetson Nano"


def test_no_baseline_no_pairs_and_no_target(make_run):
    """Without independent there is nothing to compare with, and no target."""
    run = load_run(make_run(methods=("all-in-one", "mas:splits=2")))
    assert pair_table([run]) is None
    assert "energy_to_target_j" not in keys(main_table([run]))


def test_nan_loss_is_no_number_in_the_mean(make_run):
    """A diverged seed does not turn the mean into NaN; it lowers n."""
    run = load_run(make_run(cell_changes={"independent-s2-r0": {"total_loss": float("nan")}}))
    loss = column(main_table([run]), "total_loss")[0]
    assert loss.n == 2
    assert loss.mean == pytest.approx(0.60 + 0.005 + 1.5 / 16)


def test_task_table_with_its_reference(make_run):
    """Each task has a fifth of the total; the last row is the mean predictor without spread."""
    table = task_loss_table([load_run(make_run())])
    assert [h.title for h in table.headings][1:-1] == [f"Loss {task}" for task in "sdnkt"]
    assert table.rows[0][1].mean == pytest.approx((0.60 + 0.01 + 1.5 / 16) / 5)
    assert table.rows[-1][0] == "predicting the training mean"
    assert [value.mean for value in table.rows[-1][1:6]] == pytest.approx([0.4] * 5)
    assert all(value.half_width is None for value in table.rows[-1][1:6])
    assert column(table, "unseen_total_loss")[0].mean == pytest.approx(0.71 + 1.5 / 16)


def test_several_series_keep_apart(make_run):
    """Rows of two series carry the series and are never pooled."""
    runs = [load_run(make_run(run_id=name, seeds=1, device=name)) for name in ("one", "two")]
    table = main_table(runs)
    assert column(table, "run") == ["one"] * 3 + ["two"] * 3
    assert to_latex(table).count(r"\midrule") == 2
    assert all(value.n == 1 for value in column(table, "time_s"))


def test_the_best_is_the_best_of_its_device(make_run):
    """A slow board has a best method, too: ranks never cross from one device to another."""
    quick = {
        f"{method}-s{seed}-r0": {"time_s": time_s + 0.1 * seed}
        for method, time_s in (("independent", 3.0), ("all-in-one", 1.0), ("mas-splits-2", 2.0))
        for seed in range(3)
    }
    runs = [
        load_run(make_run(run_id="slow", device="slow")),
        load_run(make_run(run_id="fast", device="fast", cell_changes=quick)),
    ]
    table = main_table(runs)
    ranks = column_ranks(table, keys(table).index("time_s"))
    assert ranks[4] == 1  # all-in-one on the fast board
    assert ranks.get(5) == 2


def test_runs_of_other_seeds_are_one_series(make_run):
    """Seeds 0 to 2 and 3 to 5 of the same configuration make n = 6: mean time 100 + 4 · 2.5."""
    folders = [make_run(run_id="a"), make_run(run_id="b", first_seed=3)]
    (run,) = pool([load_run(folder) for folder in folders])
    time = column(main_table([run]), "time_s")[0]
    assert (time.n, time.mean) == (6, pytest.approx(110.0))
    assert provenance([run])[:4:2] == ["run: a", "run: b"]
    assert run.trace("b.mas-splits-2-s3-r0") is not None


def test_a_seed_measured_in_two_runs_is_a_repeat(make_run):
    """The same training measured again is no new seed."""
    (run,) = pool([load_run(make_run(run_id=name, seeds=1)) for name in ("a", "b")])
    assert column(main_table([run]), "time_s")[0].n == 1
    assert run.cells.groupby("method")["repeat"].apply(list).tolist() == [[0, 1]] * 3


@pytest.mark.parametrize(
    "changes",
    [{"config": {"rounds": 9}}, {"host": {"governor": "powersave"}}, {"measured": False},
     {"quick": True}, {"device": "x86"}],
)  # fmt: skip
def test_what_keeps_runs_apart(make_run, changes):
    """Another configuration, governor, meter, kind or device is never averaged."""
    runs = [load_run(make_run(run_id="a")), load_run(make_run(run_id="b", **changes))]
    assert len(pool(runs)) == 2


def test_phase_energy_by_closed_form(make_run):
    """Training is 80 % of 520 J; evaluation stands apart; methods without affinity have a dash."""
    table = phase_tables([load_run(make_run())])[0]
    assert table.name == "phase_energy"
    assert column(table, "train_j")[0].mean == pytest.approx(0.8 * 520)
    assert isinstance(column(table, "affinity_j")[0], Absent)
    assert column(table, "affinity_j")[2].mean == pytest.approx(0.2 * 260)
    assert column(table, "evaluate_j")[0].mean == pytest.approx(0.05 * 520)


def test_measured_and_modelled_phases_are_two_tables(make_run):
    """No table mixes the two; without a meter there is none of measured phases."""
    names = [table.name for table in phase_tables([load_run(make_run(run_id="a"))])]
    assert names == ["phase_energy", "phase_energy_modelled", "phase_time"]
    run = load_run(make_run(run_id="b", measured=False))
    assert [t.name for t in phase_tables([run])] == ["phase_energy_modelled", "phase_time"]


def test_cost_table_reads_a_predicted_time_only_where_there_is_one(make_run):
    """A column that a version does not write is left out without a word."""
    run = load_run(make_run())
    assert "time_predicted_s" not in keys(cost_table([run]))
    run = load_run(run.folder)
    run.cells["time_predicted_s"] = 7.0
    assert column(cost_table([run]), "time_predicted_s")[0].mean == 7.0


def test_predicted_seconds_of_one_table_come_from_one_timing(make_run):
    """Runs that are pooled and timed their steps apart have none, with the reason."""
    folders = [make_run(run_id=name, seeds=1) for name in ("a", "b")]
    for folder, forward_s in zip(folders, (0.001, 0.002), strict=True):
        told = json.loads((folder / "manifest.json").read_text())
        told["calibration"] = {"forward_s": {"encoder": forward_s}}
        (folder / "manifest.json").write_text(json.dumps(told))
    runs = [load_run(folder) for folder in folders]
    for run in runs:
        run.cells["time_predicted_s"] = 7.0
    assert column(cost_table(runs[:1]), "time_predicted_s")[0].mean == 7.0
    (together,) = pool(runs)
    assert "time_predicted_s" not in keys(cost_table([together]))


def test_measures_have_their_units_and_directions(make_run):
    """The headline measure of each task: mIoU rises to 0.26, the depth error is in metres."""
    run = load_run(make_run(measures=True))
    table = measure_table([run])
    heads = {heading.key: heading for heading in table.headings}
    assert column(table, "miou_s")[0].mean == pytest.approx(0.26)
    assert (heads["miou_s"].better, heads["abs_error_m_d"].unit) == ("high", "m")
    assert isinstance(column(table, "mean_angle_deg_n")[0], Absent)
    assert measure_table([load_run(make_run(run_id="without"))]) is None
    rows = [row for row in all_measures_table([run]).rows if row[1] == "abs_error_m"]
    assert [row[-1].mean for row in rows] == pytest.approx([0.51] * 3)


def test_setup_says_what_ran_on_what(make_run):
    """Device, host, meter, source and data by name; what is not known is not shown."""
    rows = dict(setup_table([load_run(make_run())]).rows)
    assert rows["Device"] == "NVIDIA Jetson Nano"
    assert rows["Meter scope"] == "board"
    assert rows["Source"] == "commit 0a1b2c3"
    assert "Governor" not in rows
    assert dict(settings_table([load_run(make_run(run_id="b"))]).rows)["seeds"] == "0, 1, 2"


def test_provenance_names_run_command_source_and_data(make_run):
    """The comment of every table says where its numbers come from."""
    run = load_run(make_run(seeds=1))
    assert provenance([run]) == [
        "run: 20261123-x86-ab12",
        "command: python -m harness.run --device jetson-nano --seeds 0-2",
        "source: commit 0a1b2c3",
        "data: scenes 1, checksum sha256:0123abcd",
    ]
    assert to_latex(main_table([run])).startswith("% run: 20261123-x86-ab12\n% command: python")


def test_splits_that_differ_are_counted(make_run):
    """If seeds choose different splits, each is shown with its count."""
    run = load_run(make_run(cell_changes={"mas-splits-2-s1-r0": {"groups": "sd|nkt"}}))
    rows = [row for row in groups_table([run]).rows if row[0] == "mas:splits=2"]
    assert [(row[1], row[2].mean) for row in rows] == [("sdn|kt", 2.0), ("sd|nkt", 1.0)]


def test_how_sure_a_split_is_stands_beside_it(make_run):
    """Two cells of one split: the mean of theirs. Runs that say nothing of it have no column."""
    names = [heading.key for heading in groups_table([load_run(make_run())]).headings]
    assert "split_sure_percent" not in names
    sure = {f"mas-splits-2-s{seed}-r0": {"split_sure": 0.3 + 0.2 * seed} for seed in (0, 1)}
    table = groups_table([load_run(make_run(cell_changes=sure, run_id="20261123-x86-cd34"))])
    assert "below 80 % a split is a coin toss" in table.caption
    (row,) = [row for row in table.rows if row[0] == "mas:splits=2"]
    assert row[-1].mean == pytest.approx(40.0)
    assert {type(row[-1]) for row in table.rows if row[0] != "mas:splits=2"} == {Absent}


def add_metric(folder, job, task, rounds, value):
    """Append one test loss of the mas cell to metrics.csv."""
    with (folder / "metrics.csv").open("a", encoding="utf-8") as handle:
        cell = "mas-splits-2-s0-r0"
        handle.write(f"x,{cell},{rounds},{job},{task},evaluate,test_loss,{value},\n")


def test_the_job_of_the_final_split_serves_a_task(make_run):
    """A job outside the final split that is evaluated as long does not count."""
    folder = make_run(seeds=1)
    add_metric(folder, "sdnkt", "k", 8, 0.001)
    losses = last_task_losses(load_run(folder)).set_index(["cell", "task"])["value"]
    expected = (0.57 + 1.5 / 16) / 5
    assert losses["mas-splits-2-s0-r0", "k"] == pytest.approx(expected)


def test_of_overlapping_groups_the_better_one_serves(make_run):
    """A task in two final groups is served by the group with the lower last loss."""
    changes = {"mas-splits-2-s0-r0": {"groups": "sdn|kt|kn"}}
    folder = make_run(seeds=1, cell_changes=changes)
    add_metric(folder, "kn", "k", 8, 0.002)
    losses = last_task_losses(load_run(folder)).set_index(["cell", "task"])["value"]
    assert losses["mas-splits-2-s0-r0", "k"] == pytest.approx(0.002)


def test_a_split_method_shows_its_merged_start(make_run):
    """Rounds before the split come from the merged job, each round once."""
    run = load_run(make_run(seeds=1))
    rows = serving_rows(run, "test_loss")
    own = rows[(rows["method"] == "mas:splits=2") & (rows["task"] == "k")].sort_values("round")
    assert own["round"].tolist() == list(range(1, 9))
    assert own["job"].tolist() == ["sdnkt"] * 3 + ["kt"] * 5


def test_the_cost_table_says_what_is_shared(make_run):
    """Rounds trained once for two methods are named with the method that trained them."""
    changes = {
        f"all-in-one-s{seed}-r0": {"shared_jobs": f"sdnkt:1-3<mas-splits-2-s{seed}-r0"}
        for seed in range(2)
    }
    table = cost_table([load_run(make_run(seeds=2, cell_changes=changes))])
    none, shared, also_none = column(table, "shared_jobs")
    assert shared == "sdnkt 1-3 of mas:splits=2"
    assert none == also_none == Absent("Nothing of it is shared.")
    plain = cost_table([load_run(make_run(seeds=1, run_id="plain"))])
    assert "shared_jobs" not in [heading.key for heading in plain.headings]


def test_energy_above_idle_stands_beside_the_whole(make_run):
    """Gross stands in the main table, net in the cost table, and the caption says what it is."""
    changes = {f"all-in-one-s{seed}-r0": {"energy_net_j": 100.0 + seed} for seed in range(3)}
    table = cost_table([load_run(make_run(cell_changes=changes))])
    assert column(table, "energy_net_j")[1].mean == pytest.approx(101.0)
    assert "less the idle power" in table.caption
    plain = cost_table([load_run(make_run(run_id="plain"))])
    assert "energy_net_j" not in keys(plain)
    assert "idle" not in plain.caption


def test_repeats_do_not_make_a_split_surer(make_run):
    """A seed of 30 and 50 % and one of 80 % have the mean 60 % over n = 2."""
    shares = {"s0-r0": 0.3, "s0-r1": 0.5, "s1-r0": 0.8}
    changes = {f"mas-splits-2-{name}": {"split_sure": share} for name, share in shares.items()}
    table = groups_table([load_run(make_run(seeds=2, repeats=2, cell_changes=changes))])
    (row,) = (row for row in table.rows if row[0] == "mas:splits=2")
    assert (row[-1].mean, row[-1].n) == (pytest.approx(60.0), 2)
