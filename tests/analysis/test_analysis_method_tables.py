"""The tables of a report hold the numbers that follow from the synthetic run's closed forms."""

from __future__ import annotations

import pytest

from analysis.loading import load_run
from analysis.method_tables import method_table, origin_words, provenance, task_table
from analysis.numbers import groups_text, last_task_losses, per_seed, serving_rows
from analysis.tables import to_latex


def column(table, key):
    """Return the contents of a column by its key, in the order of the rows."""
    index = [heading.key for heading in table.headings].index(key)
    return [row[index] for row in table.rows]


def keys(table):
    """Return the keys of all columns."""
    return [heading.key for heading in table.headings]


def test_means_and_half_widths_over_seeds(make_run):
    """Times 100, 104, 108 have mean 104 and half-width 4.3027 × 4 / √3; energy is five times it."""
    table = method_table([load_run(make_run())])
    time = column(table, "time_s")[0]
    energy = column(table, "energy_j")[0]
    assert time.mean == pytest.approx(104.0)
    assert time.half_width == pytest.approx(4.302653 * 4 / 3**0.5)
    assert time.n == 3
    assert energy.mean == pytest.approx(520.0)
    assert column(table, "energy_model_j")[0].mean == pytest.approx(416.0)


def test_ratio_is_paired_by_seed(make_run):
    """Every seed has the same ratio, so the paired half-width is 0 although times differ."""
    ratios = column(method_table([load_run(make_run())]), "time_ratio")
    assert ratios[0] == "1"
    assert ratios[2].mean == pytest.approx(0.5)
    assert ratios[2].half_width == pytest.approx(0.0, abs=1e-12)


def test_units_are_scaled_once(make_run):
    """512 000 000 bytes are 512 MB; 30 MB up and 32 MB down are 62 MB."""
    table = method_table([load_run(make_run())])
    assert column(table, "peak_memory_mb")[0].mean == pytest.approx(512.0)
    assert column(table, "traffic_mb")[0].mean == pytest.approx(62.0)


def test_repeats_are_averaged_within_a_seed(make_run):
    """Four repeats of one seed are still n = 1 without spread; their times are averaged."""
    run = load_run(make_run(seeds=1, repeats=4))
    assert per_seed(run.cells, "independent", "time_s") == {0: pytest.approx(101.5)}
    table = method_table([run])
    assert column(table, "time_s")[0].half_width is None
    assert "n = 1 seed, so no spread can be given." in table.caption


def test_measured_and_modelled_energy_stand_apart(make_run):
    """The measured column names scope and kind; the modelled one says modelled."""
    table = method_table([load_run(make_run())])
    labels = {heading.key: (heading.title, heading.unit) for heading in table.headings}
    assert labels["energy_j"] == ("Energy, measured", "J; board, sampled")
    assert labels["energy_model_j"] == ("Energy, modelled", "J")


def test_without_meter_the_column_goes_and_the_caption_says_why(make_run):
    """An empty measured column is dropped, with the reason from the cells."""
    table = method_table([load_run(make_run(measured=False))])
    assert "energy_j" not in keys(table)
    assert "No measured energy: no sensor on this host." in table.caption
    assert "energy_model_j" in keys(table)


def test_without_any_energy_both_columns_go(make_run):
    """A profile without a power model leaves no energy at all, and the caption says both."""
    table = method_table([load_run(make_run(measured=False, modelled=False))])
    assert not [key for key in keys(table) if key.startswith("energy")]
    assert "it has no value: Energy, modelled" in table.caption


def test_two_meters_get_two_columns(make_run):
    """Readings of different scope never share a column."""
    changes = {"energy_meter": "plug", "energy_scope": "wall", "energy_kind": "counter"}
    run = load_run(make_run(seeds=1, cell_changes={"all-in-one-s0-r0": changes}))
    found = [key for key in keys(method_table([run])) if key.startswith("energy_j")]
    assert found == ["energy_j_ina3221_board_sampled", "energy_j_plug_wall_counter"]
    assert column(method_table([run]), "energy_j_plug_wall_counter")[0] is None


def test_a_spoilt_measurement_is_a_smaller_n(make_run):
    """A seed without valid energy is missing from the energy's n, and the caption says so."""
    lost = {"energy_j": None, "energy_reason": "gap"}
    run = load_run(make_run(cell_changes={"all-in-one-s1-r0": lost}))
    table = method_table([run])
    assert column(table, "energy_j")[1].n == 2
    assert "Energy of all-in-one was measured in 2 of 3 seeds." in table.caption


def test_host_mismatch_and_quick_are_in_words(make_run):
    """A table of another host's run says where it was trained and what is modelled."""
    run = load_run(make_run(seeds=1, matches=False, measured=False, quick=True))
    table = method_table([run])
    assert "Trained on x86-64 laptop, 2 cores, 8 GB; NVIDIA Jetson Nano modelled" in table.caption
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


def test_no_baseline_no_ratio(make_run):
    """Without independent there is no ratio column."""
    run = load_run(make_run(methods=("all-in-one", "mas:splits=2")))
    assert "time_ratio" not in keys(method_table([run]))


def test_nan_loss_is_no_number_in_the_mean(make_run):
    """A diverged seed does not turn the mean into NaN; it lowers n."""
    run = load_run(make_run(cell_changes={"independent-s2-r0": {"total_loss": float("nan")}}))
    loss = column(method_table([run]), "total_loss")[0]
    assert loss.n == 2
    assert loss.mean == pytest.approx(0.60 + 0.005 + 1.5 / 16)


def test_task_table_with_its_reference(make_run):
    """Each task has a fifth of the total; the last row is the mean predictor without spread."""
    table = task_table([load_run(make_run())])
    assert [h.title for h in table.headings][1:] == [f"Loss {task}" for task in "sdnkt"]
    assert table.rows[0][1].mean == pytest.approx((0.60 + 0.01 + 1.5 / 16) / 5)
    assert table.rows[-1][0] == "predicting the training mean"
    assert [value.mean for value in table.rows[-1][1:]] == pytest.approx([0.4] * 5)
    assert all(value.half_width is None for value in table.rows[-1][1:])


def test_several_runs_keep_apart(make_run):
    """Rows of two runs carry the run and are never pooled."""
    runs = [load_run(make_run(run_id=name, seeds=1)) for name in ("one", "two")]
    table = method_table(runs)
    assert column(table, "run_id") == ["one"] * 3 + ["two"] * 3
    assert all(value.n == 1 for value in column(table, "time_s"))


def test_provenance_names_run_command_and_data(make_run):
    """The comment of every table says where its numbers come from."""
    run = load_run(make_run(seeds=1))
    assert provenance([run]) == [
        "run: 20261123-x86-ab12",
        "command: python -m harness.run --device jetson-nano --seeds 0-2",
        "data: scenes 1, checksum sha256:0123abcd",
    ]
    assert to_latex(method_table([run])).startswith("% run: 20261123-x86-ab12\n% command: python")


def test_splits_that_differ_are_counted(make_run):
    """If seeds choose different splits, each is shown with its count."""
    run = load_run(make_run(cell_changes={"mas-splits-2-s1-r0": {"groups": "sd|nkt"}}))
    assert groups_text(run.done, "mas:splits=2") == "sdn|kt (2×), sd|nkt (1×)"


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
