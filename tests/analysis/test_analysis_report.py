"""A report is complete, needs nothing else, and is the same bytes every time."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser

import pandas as pd
import pytest

from analysis.core.assembly import MOST_SERIES, all_drawings
from analysis.core.figures import writing
from analysis.core.figures.drawing import Drawing
from analysis.core.loading import load_runs
from analysis.report import find_run, main, write_report
from harness.core.errors import HarnessError

FIGURES = (
    "pareto", "loss_over_cost", "loss_over_rounds", "task_changes", "breakdown", "power_over_time",
    "affinity_mas-splits-2", "schedule", "published",
)  # fmt: skip
TABLES = (
    "main", "groups", "tasks", "phase_energy", "phase_energy_modelled", "phase_time", "setup",
    "pairs",
    "settings", "cost",
)  # fmt: skip


def pdf_text(path) -> str:
    """Return the uncompressed parts of a PDF, where fonts and pages are described."""
    return path.read_bytes().decode("latin-1")


def named(paths, name):
    """Return the one file of that name."""
    return next(path for path in paths if path.name == name)


def test_every_file_is_there(measured_report):
    """Tables as CSV, Markdown, LaTeX; figures as PDF, PNG, CSV; one page; all in RUN/report."""
    folder, paths = measured_report
    names = {path.relative_to(folder / "report").as_posix() for path in paths.all()}
    expected = {"index.html"}
    expected |= {"tables/macros.tex", "tables/captions.tex", "paper.tex"}
    for table in TABLES:
        expected |= {f"tables/{table}{end}" for end in (".csv", ".md", ".tex")}
    for figure in FIGURES:
        expected |= {f"figures/{figure}{end}" for end in (".pdf", ".png", ".csv")}
    assert names == expected
    assert all(path.stat().st_size for path in paths.all())


def test_the_second_run_writes_the_same_bytes(measured_report):
    """Nothing in the files depends on clock, order or chance."""
    folder, paths = measured_report
    before = {path: path.read_bytes() for path in paths.all()}
    again = write_report([folder])
    assert again == paths
    assert [path.name for path in paths.all() if path.read_bytes() != before[path]] == []


def test_pdfs_have_no_type_3_font(measured_report):
    """Submission systems refuse Type 3; TrueType is embedded instead."""
    for path in measured_report[1].figures:
        if path.suffix == ".pdf":
            assert "/Type3" not in pdf_text(path)
            assert "/TrueType" in pdf_text(path) or "/CIDFontType2" in pdf_text(path)


@pytest.mark.parametrize("which", ["measured_report", "modelled_report"])
def test_pages_are_as_wide_as_the_column(which, request):
    """An IEEE column is 3.5 in = 252 pt, whatever the note or the legend."""
    _, paths = request.getfixturevalue(which)
    for path in paths.figures:
        if path.suffix == ".pdf":
            box = re.search(r"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", pdf_text(path))
            assert float(box.group(1)) == pytest.approx(252.0), path.name


def test_pdfs_carry_no_date(measured_report):
    """A date would make every rebuild differ."""
    for path in measured_report[1].figures:
        if path.suffix == ".pdf":
            assert "CreationDate" not in pdf_text(path)


class Links(HTMLParser):
    """Collect what a page refers to."""

    def __init__(self):
        super().__init__()
        self.targets = []

    def handle_starttag(self, tag, attrs):
        """Note every href and src."""
        self.targets += [value for key, value in attrs if key in {"href", "src"}]


@pytest.mark.parametrize("which", ["measured_report", "modelled_report"])
def test_the_page_needs_nothing_else(which, request):
    """Pictures are inside, links lead to files beside it, and nothing comes from a network."""
    _, paths = request.getfixturevalue(which)
    text = paths.page.read_text(encoding="utf-8")
    links = Links()
    links.feed(text)
    files = [target for target in links.targets if not target.startswith("data:image/png;base64,")]
    assert files
    assert all((paths.folder / target).is_file() for target in files)
    assert "http://" not in text
    assert "https://" not in text
    assert 'name="viewport"' in text


def test_the_page_says_what_is_modelled(modelled_report):
    """A quick run on another host says so before any number, and why there is no measurement."""
    text = modelled_report[1].page.read_text(encoding="utf-8")
    warning = text.index("Trained on x86-64 laptop, 2 cores, 8 GB; NVIDIA Jetson Nano modelled")
    assert warning < text.index("In short")
    assert "not for publication" in text
    assert "none: no sensor on this host" in text
    assert "time and energy are modelled" in text
    assert "python -m harness.run --device jetson-nano --seeds 0-2" in text


def test_the_csv_of_a_modelled_figure_and_its_words(modelled_report):
    """The pareto of another device draws modelled seconds, as joules are 4/9 W times them."""
    drawn = pd.read_csv(named(modelled_report[1].figures, "pareto.csv"))
    mean = drawn[(drawn["method"] == "independent") & (drawn["element"] == "mean")]
    assert mean["cost"].tolist() == pytest.approx([900.0])
    assert mean["cost_half_width"].isna().all()


def test_text_of_a_run_cannot_become_markup(make_run):
    """A reason or name that looks like HTML is shown, not run."""
    evil = {"status": "failed", "reason": "<script>alert(1)</script>"}
    methods = ("independent", "all-in-one")
    changes = {"all-in-one-s0-r0": evil}
    folder = make_run(seeds=1, methods=methods, trace=False, modelled=False, cell_changes=changes)
    text = write_report([folder]).page.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_runs_without_finished_cells_still_report(make_run, tmp_path):
    """Interrupted first cells give a page that says so for each series, without figures."""
    failed = {"independent-s0-r0": {"status": "interrupted", "reason": "stopped"}}
    facts = {"seeds": 1, "methods": ("independent",), "cell_changes": failed}
    folders = [
        make_run(run_id=name, config={"rounds": rounds}, **facts)
        for name, rounds in (("one", 8), ("two", 9))
    ]
    paths = write_report(folders, tmp_path / "both")
    text = paths.page.read_text(encoding="utf-8")
    assert paths.figures == ()
    assert text.count("No cell is finished") == 2
    assert "<h3>two</h3>" in text


def test_figures_of_two_series_carry_their_run(make_run):
    """Two series never share a figure, and without a folder for both the user is asked for one."""
    folders = [
        make_run(run_id="a", seeds=1),
        make_run(run_id="b", seeds=1, config={"rounds": 9}),
    ]
    outcomes = all_drawings(load_runs(folders))
    stems = [outcome.stem for outcome in outcomes if isinstance(outcome, Drawing)]
    assert stems == [f"{figure}_{run}" for run in ("a", "b") for figure in FIGURES]
    with pytest.raises(HarnessError, match="2 runs are given") as caught:
        write_report(folders)
    assert caught.value.exit_status == 2


def test_what_is_not_drawn_is_named_with_its_reason(make_run, capsys):
    """One repeat and one device: the page and the command say what is missing and why."""
    folder = make_run(seeds=1, trace=False, measured=False, modelled=False)
    assert main([str(folder)]) == 0
    reason = "Stability over repeats: no seed was measured more than once"
    assert f"not drawn: {reason}" in capsys.readouterr().err
    text = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert reason in text
    assert "Comparison of devices: all runs are of one device" in text
    assert "Power over time: no cell has a power trace or modelled power" in text


def test_of_very_many_series_the_rest_is_named(make_run):
    """Figures of all of a hundred series would be read by nobody; tables hold every one."""
    folders = [
        make_run(run_id=f"r{n}", seeds=1, methods=("independent",), config={"rounds": n})
        for n in range(MOST_SERIES + 2)
    ]
    outcomes = all_drawings(load_runs(folders))
    drawn = {o.title.rsplit(", ", 1)[-1] for o in outcomes if isinstance(o, Drawing)}
    assert drawn == {f"r{n}" for n in range(MOST_SERIES)}
    reasons = [o.reason for o in outcomes if not isinstance(o, Drawing)]
    assert any(f"r{MOST_SERIES}, r{MOST_SERIES + 1}" in reason for reason in reasons)


def test_a_helper_draws_the_same_bytes(modelled_report, tmp_path, monkeypatch):
    """Half of few figures, as if they were many, come from one other process."""
    folder, report = modelled_report
    monkeypatch.setattr(writing, "FEW_FIGURES", 1)
    monkeypatch.setattr(writing.os, "cpu_count", lambda: 2)
    start, shares = writing._start, []
    monkeypatch.setattr(writing, "_start", lambda *words: shares.append(words[0]) or start(*words))
    again = write_report([folder], tmp_path / "again")
    assert len(shares) == 1
    assert shares[0]
    assert [p.read_bytes() for p in again.figures] == [p.read_bytes() for p in report.figures]


@pytest.mark.whole
def test_many_figures_are_drawn_by_several_processes_alike(make_run, tmp_path):
    """Figures of two series come from other processes; the bytes are those of a report alone."""
    folders = [make_run(run_id="a", seeds=1), make_run(run_id="b", seeds=1, config={"rounds": 9})]
    both = write_report(folders, tmp_path / "both")
    alone = write_report(folders[:1])
    names = {path.name: path for path in both.figures}
    for path in alone.figures:
        other = names[f"{path.stem}_a{path.suffix}"]
        assert other.read_bytes() == path.read_bytes(), path.name


def test_help_needs_neither_pandas_nor_matplotlib():
    """--help answers at once, so nothing heavy may be imported before the options are read."""
    code = (
        "import sys\nfrom analysis.report import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'pandas', 'numpy', 'matplotlib', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_command_line_prints_the_paths(make_run, capsys, tmp_path):
    """The command prints three lines, the page first, and ends with 0; --venue sets the width."""
    folder = make_run(seeds=1, methods=("independent",), trace=False, modelled=False)
    assert main([str(folder), "--out", str(tmp_path / "out"), "--venue", "iclr"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["Page", str(tmp_path / "out" / "index.html")]
    assert [line.split()[0] for line in lines] == ["Page", "Tables", "Figures"]
    assert "/MediaBox [ 0 0 396 " in pdf_text(tmp_path / "out" / "figures" / "pareto.pdf")


def test_an_unknown_run_names_the_nearest(make_run, capsys):
    """A slip in the name is answered with the runs that exist, exit code 2."""
    folder = make_run(seeds=1)
    assert main([str(folder.with_name("20261123-x86-ab13"))]) == 2
    assert f"Did you mean {folder}?" in capsys.readouterr().err


def test_an_unknown_run_in_an_empty_place_says_how_to_begin(tmp_path):
    """Where there are no runs the remedy is to make one."""
    with pytest.raises(HarnessError, match="no such run folder") as caught:
        find_run(tmp_path / "nothing" / "here")
    assert "harness.run" in caught.value.remedy


def test_exit_codes(make_run, capsys):
    """A newer schema ends with 7, an unknown venue and no argument with 2."""
    newer = make_run(run_id="newer", seeds=1, schema_version=99)
    assert main([str(newer)]) == 7
    assert main([str(newer), "--venue", "nowhere"]) == 2
    assert main([]) == 2
    assert "Update the tool" in capsys.readouterr().err
