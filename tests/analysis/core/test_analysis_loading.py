"""Run folders load as typed frames, and whatever is wrong with one is named with a remedy."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.core.loading import load_run, load_runs
from analysis.core.reading import read_table
from analysis.core.tables.main import main_table
from harness.core.errors import HarnessError
from harness.core.schema import CELLS, METRICS, OLDEST_SCHEMA_VERSION, PHASE_ROWS


def edit(path, old, new):
    """Replace text in a file and make sure it was there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_load_gives_typed_frames(make_run):
    """Numbers are numbers, flags are flags, text is text, and an empty field is missing."""
    run = analysis.load(make_run(measured=False, seeds=2))
    first = run.cells.iloc[0]
    assert len(run.cells) == 6
    assert first["time_s"] == 100.0
    assert first["seed"] == 0
    assert bool(first["host_matches_device"]) is True
    assert np.isnan(first["energy_j"])
    assert first["energy_meter"] == ""
    assert str(run.cells["peak_memory_bytes"].dtype) == "Int64"
    assert run.methods == ["independent", "all-in-one", "mas:splits=2"]


def test_load_works_twice_after_the_reader_was_imported(make_run):
    """`analysis.load` stays a function, although a module does the reading."""
    folder = make_run(seeds=1)
    assert analysis.load(folder).run_id == analysis.load(str(folder)).run_id


def test_importing_analysis_is_light():
    """The package and the verdict load neither pandas nor matplotlib nor torch."""
    code = (
        "import sys, analysis, analysis.core.verdict; "
        "sys.exit(any(name in sys.modules for name in ('pandas', 'matplotlib', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_trace_and_affinity_are_read_on_demand(make_run):
    """A trace has its rails, an affinity matrix keeps rows as recipients, comments are skipped."""
    run = load_run(make_run(seeds=1))
    trace = run.trace("mas-splits-2-s0-r0")
    assert set(trace["rail"]) == {"POM_5V_IN", "POM_5V_CPU"}
    matrix = run.affinity("mas-splits-2-s0-r0")
    assert matrix.loc["t", "s"] == pytest.approx(0.04)
    assert matrix.loc["s", "t"] == pytest.approx(-0.032)
    assert run.affinity("independent-s0-r0") is None
    assert run.affinity_rounds("independent-s0-r0") is None


def test_missing_and_empty_traces_are_none(make_run):
    """No file and a file with only a header both mean: no trace."""
    folder = make_run(seeds=1, trace=False)
    run = load_run(folder)
    assert run.trace("independent-s0-r0") is None
    (folder / "traces").mkdir()
    import gzip  # noqa: PLC0415

    with gzip.open(folder / "traces" / "independent-s0-r0.csv.gz", "wt") as handle:
        handle.write("t_s,rail,power_w,energy_j\n")
    assert run.trace("independent-s0-r0") is None


@pytest.mark.parametrize("cell", ["../../etc/passwd", "/etc/passwd", "", "a/b"])
def test_cell_names_cannot_leave_the_folder(make_run, cell):
    """A cell name that is a path is refused."""
    run = load_run(make_run(seeds=1))
    with pytest.raises(HarnessError, match="cannot be the name of a cell"):
        run.trace(cell)


@pytest.mark.parametrize("name", ["manifest.json", "cells.csv", "metrics.csv", "phases.csv"])
def test_a_missing_file_is_named(make_run, name):
    """Each required file that is missing is named, with a remedy."""
    folder = make_run(seeds=1)
    (folder / name).unlink()
    with pytest.raises(HarnessError, match=name) as caught:
        load_run(folder)
    assert caught.value.exit_status == 7
    assert caught.value.remedy


def test_a_missing_column_is_named(make_run):
    """A renamed column is an error that names file and column."""
    folder = make_run(seeds=1)
    edit(folder / "cells.csv", "total_loss", "loss_total")
    with pytest.raises(HarnessError, match=r"cells\.csv, line 1: lacks the column total_loss"):
        load_run(folder)


def test_an_unknown_column_is_noted(make_run):
    """A column of no meaning here is not used, and that is said."""
    folder = make_run(seeds=1)
    lines = (folder / "cells.csv").read_text().splitlines()
    text = "\n".join([lines[0] + ",mood", *(line + ",good" for line in lines[1:])]) + "\n"
    (folder / "cells.csv").write_text(text)
    assert "cells.csv: unknown column mood is not used." in load_run(folder).notes


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("energy_net_j", "fast", "float"),
        ("seed", "1.5", "int"),
        ("host_matches_device", "yes", "bool"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(make_run, column, value, kind):
    """Text in a number column, a fraction in an int column, a word for a flag are errors."""
    folder = make_run(seeds=1, cell_changes={"independent-s0-r0": {column: value}})
    with pytest.raises(HarnessError, match=f"record 2, column {column}: '{value}' is no {kind}"):
        load_run(folder)


@pytest.mark.parametrize(("version", "words"), [(99, "Update the tool"), (0, "older")])
def test_another_schema_version_is_refused(make_run, version, words):
    """A newer run asks for an update, an older one for the version that wrote it."""
    folder = make_run(seeds=1, schema_version=version)
    with pytest.raises(HarnessError, match=words):
        load_run(folder)


@pytest.mark.parametrize("value", ["1", None, True])
def test_a_version_that_is_no_number_is_refused(make_run, value):
    """Text, null and true are no version."""
    folder = make_run(seeds=1, schema_version=value)
    with pytest.raises(HarnessError, match="not a whole number"):
        load_run(folder)


@pytest.mark.parametrize("text", ["{", "[1]", '{"schema_version": NaN}'])
def test_a_broken_manifest_is_refused(make_run, text):
    """Torn JSON, another JSON type and NaN are refused."""
    folder = make_run(seeds=1)
    (folder / "manifest.json").write_text(text)
    with pytest.raises(HarnessError, match=r"manifest\.json: (cannot be read|is no)"):
        load_run(folder)


def test_a_manifest_that_lacks_facts_is_refused(make_run):
    """Every fact that is missing is listed."""
    folder = make_run(seeds=1)
    facts = json.loads((folder / "manifest.json").read_text())
    del facts["data"], facts["host"]
    (folder / "manifest.json").write_text(json.dumps(facts))
    with pytest.raises(HarnessError, match="lacks host, data"):
        load_run(folder)


def test_nan_is_noted_and_unfinished_cells_are_left_out(make_run):
    """A diverged loss is named, a failed cell is named with its reason, and neither is hidden."""
    folder = make_run(
        seeds=2,
        cell_changes={
            "all-in-one-s0-r0": {"total_loss": float("nan")},
            "mas-splits-2-s1-r0": {"status": "failed", "reason": "out of memory"},
        },
    )
    run = load_run(folder)
    assert any("total_loss is not a finite number for all-in-one-s0-r0" in n for n in run.notes)
    assert "Cell mas-splits-2-s1-r0 is failed and is left out: out of memory" in run.notes
    assert "mas-splits-2-s1-r0" not in set(run.done["cell"])


def test_two_task_sets_are_refused(make_run):
    """Losses of different task sets are never put side by side."""
    folder = make_run(seeds=1, cell_changes={"independent-s0-r0": {"tasks": "erckt"}})
    with pytest.raises(HarnessError, match="several task sets"):
        load_run(folder)


def test_the_same_run_twice_is_refused(make_run):
    """Giving a run twice would count its seeds twice."""
    folder = make_run(seeds=1)
    with pytest.raises(HarnessError, match="Given twice"):
        load_runs([folder, folder])


def test_a_matrix_that_is_not_square_is_refused(make_run):
    """Rows and columns must carry the same tasks in the same order."""
    folder = make_run(seeds=1)
    edit(folder / "affinity" / "mas-splits-2-s0-r0.csv", "\nt,", "\nx,")
    with pytest.raises(HarnessError, match="must be square"):
        load_run(folder).affinity("mas-splits-2-s0-r0")


def test_runs_of_every_older_schema_still_load(make_run):
    """A run of a version before a column lacks it; the column reads as empty, and tables work."""
    later = [column.name for column in CELLS if column.since > OLDEST_SCHEMA_VERSION]
    assert later
    folder = make_run(seeds=1, schema_version=OLDEST_SCHEMA_VERSION)
    frame = pd.read_csv(folder / "cells.csv", dtype=str, keep_default_na=False)
    frame.drop(columns=later).to_csv(folder / "cells.csv", index=False)
    run = load_run(folder)
    assert (run.cells[later].isna() | (run.cells[later] == "")).all(axis=None)
    assert run.notes == ()
    assert main_table([run]).rows


def test_both_readers_give_the_same_frame(make_run, tmp_path):
    """The fast reader and the careful one differ in speed alone."""
    folder = make_run(seeds=2, measured=False, repeats=2)
    for name, columns in (("cells", CELLS), ("metrics", METRICS), ("phases", PHASE_ROWS)):
        fast, notes = read_table(folder / f"{name}.csv", columns)
        text = (folder / f"{name}.csv").read_text().splitlines()
        slow_file = tmp_path / f"{name}.csv"
        slow_file.write_text("\n".join([text[0] + ",more", *(line + "," for line in text[1:]), ""]))
        slow, slow_notes = read_table(slow_file, columns)
        assert notes == []
        assert slow_notes == [f"{name}.csv: unknown column more is not used."]
        pd.testing.assert_frame_equal(fast, slow)


def test_a_run_prints_as_three_lines(make_run):
    """Frames in full would drown a notebook; the lines say what there is to look at."""
    lines = repr(load_run(make_run(seeds=1))).splitlines()
    assert len(lines) == 3
    assert "independent, all-in-one, mas:splits=2" in lines[0]
    assert ".cells (3 rows)" in lines[1]


def test_rows_get_the_facts_of_their_cell(make_run):
    """One call makes the long table tidy: device, method, seed and repeat stand in each row."""
    run = load_run(make_run(seeds=2))
    tidy = run.with_facts(run.metrics)
    assert len(tidy) == len(run.metrics)
    own = tidy[tidy["cell"] == "all-in-one-s1-r0"]
    facts = own[["device", "method", "seed", "repeat"]].drop_duplicates().to_numpy().tolist()
    assert facts == [["jetson-nano", "all-in-one", 1, 0]]


def test_a_last_line_that_breaks_off_is_left_out_and_noted(make_run):
    """A power cut tears it; half a number is no number."""
    folder = make_run(seeds=1)
    path = folder / "phases.csv"
    whole, notes = read_table(path, PHASE_ROWS)
    path.write_text(path.read_text().rstrip("\n")[:-1])
    torn, said = read_table(path, PHASE_ROWS)
    assert (len(torn), notes) == (len(whole) - 1, [])
    assert said == ["phases.csv: breaks off in its last line, which is left out."]
