"""Check the map of when splitting pays: runs, ratios, and that what is kept makes it again."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.multitask.splitting import runs as making
from analysis.multitask.splitting.__main__ import main
from analysis.multitask.splitting.claims import claim_table, one_sided
from analysis.multitask.splitting.figure import drawn_values
from analysis.multitask.splitting.points import (
    BASELINES,
    COMMON,
    LABELS,
    PARTS,
    POINTS,
    STUDY,
    Point,
)
from analysis.multitask.splitting.rows import (
    StudyRow,
    joined,
    read_rows,
    text_of,
    write_rows,
)
from analysis.multitask.splitting.rules import baselines, paper_rows
from analysis.multitask.splitting.runs import StudyRun, given, runs
from analysis.multitask.splitting.summary import standings
from analysis.multitask.splitting.table import NOT_RUN, csv_text, markdown
from analysis.multitask.splitting.writing import TABLES
from harness.config import split_list
from harness.core.errors import UsageError
from harness.workloads.multitask.config import make_multitask_config

ROOT = Path(__file__).parents[4]
KEPT = ROOT / "results" / "study"
HERE = Point("here", "axis", "value", seeds={"main": (0, 1)})
THERE = Point("there", "axis", "other", seeds={"main": (0, 1)})


def _row(method: str, seed: int, loss: float, cpu_s: float = 1.0, **more) -> StudyRow:
    row = StudyRow(HERE.name, seed, method, "s|d", loss, None, cpu_s, None, "plain", "2", "abc")
    return replace(row, **more)


ROWS = [
    _row("independent", 0, 2.0, 10.0), _row("independent", 1, 4.0, 10.0),
    _row("mas:splits=2", 0, 2.2, 4.0, split_sure=0.5), _row("mas:splits=2", 1, 3.6, 6.25),
]  # fmt: skip


def test_ratios_are_geometric_means_over_pairs_of_a_seed() -> None:
    """Loss 1.1 and 0.9 times, seconds 0.4 and 0.625 times that of independent training."""
    found = {(s.point.name, s.method): s for s in standings(ROWS, [HERE, THERE])}
    mas = found["here", "mas:splits=2"]
    assert mas.loss.ratio == pytest.approx(math.sqrt(1.1 * 0.9), rel=1e-12)
    assert mas.cpu.ratio == pytest.approx(0.5, rel=1e-12)
    assert (mas.mean_loss, mas.mean_cpu_s, mas.split_sure) == (pytest.approx(2.9), 5.125, 0.5)
    assert mas.loss.interval.low < 0.9
    assert mas.loss.interval.high > 1.1


def test_what_was_not_run_is_an_empty_row_that_says_so() -> None:
    found = standings(ROWS, [HERE, THERE])
    lines = markdown(found).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| axis: value | 2 | 3.000 | not run | -0.5 % (")
    assert lines[3].count(NOT_RUN) == 9
    rows = [line.split(",") for line in csv_text(found).splitlines()[1:] if "there" in line]
    assert [row[-1] for row in rows] == [NOT_RUN] * len(PARTS["main"])
    drawn = drawn_values(found).set_index(["point", "method"])["change_percent"]
    assert drawn["there"].isna().all()
    assert drawn["here", "mas:splits=2"] == pytest.approx(-0.5012562893)


@pytest.mark.parametrize("seeds", [2, 6])
def test_a_claim_is_a_ratio_for_time_total_and_every_task(seeds) -> None:
    """Half the loss at a third of the time on every seed; s is worse, d better.

    Two seeds of one ratio show no spread, and so have no interval; of six that is no chance.
    """
    point = Point("here", "claim", "value", seeds={"claim-100": range(seeds)})
    variant = PARTS["claim-100"][1]
    rows = []
    for seed in range(seeds):
        unit = 1.0 + 2.0 * (seed % 2)
        alone = {"s": unit, "d": 3 * unit}
        merged = {"s": 1.5 * unit, "d": 0.5 * unit}
        rows.append(_row("independent", seed, 4 * unit, 12.0, task_losses=alone))
        rows.append(_row(variant, seed, 2 * unit, 4.0, task_losses=merged))
    line = claim_table(rows, point).splitlines()[2].split(" | ")
    wanted = ["3.00 (3.00–3.00)", "0.500 (0.500–0.500)", "0.500"]
    assert line[:2] == [f"| `{variant}`", str(seeds)]
    assert line[2:5] == (wanted if seeds == 6 else ["3.00", "0.500", "–"])
    tasks = ["1.500 (1.500–1.500)", "0.167 (0.167–0.167)"]
    assert line[6:8] == (tasks if seeds == 6 else ["1.500", "0.167"])
    assert claim_table(rows, point).count(NOT_RUN) == 9


def test_the_one_sided_limit_is_students_t_on_the_logarithms() -> None:
    """For logarithms 0.1, 0.2, 0.3: 0.2 + 2.919986 × 0.1 / √3 (t of 95 % with two degrees)."""
    assert one_sided([0.1, 0.2, 0.3]) == pytest.approx(math.exp(0.2 + 2.919986 * 0.1 / 3**0.5))
    assert one_sided([0.1]) is None


def test_a_change_of_fewer_seeds_than_its_row_says_so() -> None:
    found = standings([*ROWS, _row("all-in-one", 1, 4.4)], [HERE])
    assert "| 2 | 3.000 | +10.0 %, 1 seed | -0.5 % (" in markdown(found).splitlines()[2]


def test_rows_are_read_as_they_were_written(tmp_path) -> None:
    write_rows(tmp_path, ROWS)
    assert sorted(read_rows(tmp_path), key=str) == sorted(ROWS, key=str)
    newer = _row("independent", 0, 9.0)
    assert {r.total_loss for r in joined(ROWS, [newer])} == {9.0, 4.0, 2.2, 3.6}
    (tmp_path / "runs.csv").write_text("point,seed\nhere,zero\n")
    with pytest.raises(UsageError, match="line 2"):
        read_rows(tmp_path)


NUMBERS = ("rounds", "images", "threads", "evaluate_every")
READ = {
    "seeds": lambda text: (int(text),), "methods": lambda text: tuple(split_list(text)),
    **dict.fromkeys(("skew", "momentum", "learning_rate"), float), **dict.fromkeys(NUMBERS, int),
}  # fmt: skip


def test_every_run_is_one_that_the_product_can_make() -> None:
    """Options are checked as those of any run; only the last round is tested."""
    for run in runs():
        asked = given(run.words(Path("study")))
        names = {name.removeprefix("--").replace("-", "_"): text for name, text in asked.items()}
        assert names.pop("no_report") == ""
        typed = {n: READ.get(n, str)(text) if text else True for n, text in names.items()}
        config = make_multitask_config(typed)
        assert config.rounds == config.evaluate_every == run.point.rounds
        assert config.share_jobs
        assert config.methods == run.methods
        assert config.step == "plain"


def test_the_named_number_of_training_images_is_that_of_the_data() -> None:
    for point in POINTS:
        if point.axis == "training images a client":
            layout = make_multitask_config({"images": int(point.options[1])}).layout
            assert set(layout.lengths["train"]) == {int(point.value)}


def test_all_axes_are_listed_with_three_seeds_or_more() -> None:
    asked = {"14 rounds, heavy-ball", "nesterov, hold", "nesterov, hold, muon", "50", "100", "16",
             "80", "252", "0", "0.5", "erckt", "sdnkterca", "small-wide", "xception"}  # fmt: skip
    assert {p.value for p in POINTS} == asked
    assert len({p.name for p in POINTS}) == len(POINTS)
    for point in POINTS:
        seeds = {seed for part in ("all", "main", "drawn") for seed in point.seeds.get(part, ())}
        assert len(seeds) >= 3, point.name


def test_a_run_is_finished_by_a_folder_of_just_these_options(tmp_path) -> None:
    run = StudyRun(HERE, "main", 1)
    words = run.words(tmp_path)
    folder = run.folder(tmp_path) / "a-run"
    folder.mkdir(parents=True)
    facts = {"status": "done", "command": "python -m harness.run " + " ".join(words)}

    def finished(**changed):
        (folder / "manifest.json").write_text(json.dumps({**facts, **changed}))
        return run.finished(tmp_path)

    turned = ["--out", "/elsewhere", *words[2:-2], *words[:2]]
    assert finished() == folder
    assert finished(command="python -m harness.run " + " ".join(turned)) == folder
    assert finished(status="interrupted") is None
    assert run.begun(tmp_path) == folder  # what is done of it counts, and it is gone on with
    assert finished(command=f"{facts['command']} --rounds 3") is None
    (folder / "manifest.json").write_text("{")
    assert run.finished(tmp_path) is None
    assert given(["--a", "1", "--out", "x", "--b"]) == {"--a": "1", "--b": ""}


def _at(point: str, method: str, seed: int, loss: float, cpu_s: float) -> StudyRow:
    return replace(_row(method, seed, loss, cpu_s), point=point)


def test_a_pattern_takes_points_or_parts_of_them() -> None:
    def names(only: str) -> set[str]:
        return {f"{run.point.name} {run.part}" for run in runs(only=only)}

    whole = {"skew-0 main", "skew-0 oracles", "skew-half main", "skew-half oracles"}
    assert names("skew") == whole
    assert names("^skew.* main") == {"skew-0 main", "skew-half main"}


def test_a_baseline_is_compared_in_loss_with_single_tasks_and_in_time_within_its_run() -> None:
    """Loss 0.9 times that of single tasks, and half as long again as all-in-one of its run."""
    rows = [
        _at("default-hold", "independent", 0, 3.0, 99.0), _at("cheap-14", "all-in-one", 0, 3.3, 10),
        _at("cheap-14", "uncertainty", 0, 2.7, 15.0), _at("paper-hold", "all-in-one", 0, 1.0, 1.0),
        _at("unlike-100", "apart", 0, 4.0, 8.0), _at("unlike-100", "mat-fl", 0, 4.4, 9.6),
        _at("paper-hold", "independent", 0, 4.0, 40.0),
    ]  # fmt: skip
    lines = baselines(rows).splitlines()
    none = f" | {NOT_RUN} | {NOT_RUN}"
    assert f"| `uncertainty` | 1 | -10.0 % | 1.50 | {none} |" in lines
    assert rf"| `mat-fl`, clients with sdn\|kt | {none} | 1 | +10.0 % | 1.20 |" in lines
    assert rf"| `mat-fl`, clients with sd\|nk\|t | {none} | {none} |" in lines
    assert sum("`all-in-one`" in line for line in lines) == 1
    assert "| all-in-one | 0.03 | 0.250 | 1 |" in paper_rows(rows).splitlines()


def test_every_listed_baseline_has_independent_training_of_its_seeds_to_compare_with() -> None:
    trained = {(p.rounds, p.options, seed) for p in POINTS for seed in p.seeds.get("main", ())}
    for point in BASELINES:
        plain = tuple(
            word for word in point.options if word not in ("--client-tasks", *LABELS.values())
        )
        for seed in (s for seeds in point.seeds.values() for s in seeds):
            short = plain[2:] if point.rounds == 14 else plain
            assert (point.rounds, short, seed) in trained


def test_a_wrong_word_and_missing_rows_end_in_words(tmp_path, capsys) -> None:
    assert main(["--rows-alone", "--out", str(tmp_path)]) == 2
    assert "make study writes it" in capsys.readouterr().err
    assert main(["--only"]) == 2


def test_the_table_goes_between_the_marks_of_a_page(tmp_path) -> None:
    write_rows(tmp_path, [])
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- map -->\nold\n<!-- end -->\nafter\n")
    assert main(["--rows-alone", "--out", str(tmp_path), "--page", str(page)]) == 0
    table = (tmp_path / "map.md").read_text()
    assert table.count(NOT_RUN) == 9 * len(POINTS)
    assert page.read_text() == f"before\n<!-- map -->\n{table}<!-- end -->\nafter\n"


def test_a_page_that_cannot_be_filled_stays_as_it_is(tmp_path, capsys) -> None:
    """No mark, no text, or a mark whose end is that of the next table's."""
    write_rows(tmp_path, [])
    page = tmp_path / "page.md"
    half = b"<!-- map -->\ntext\n<!-- baselines -->\nold\n<!-- end -->\n"
    for content, words in ((b"no mark", "no place"), (b"\xff\xfe", "UTF-8"), (half, "map -->")):
        page.write_bytes(content)
        assert main(["--rows-alone", "--out", str(tmp_path), "--page", str(page)]) == 2
        assert words in capsys.readouterr().err
        assert page.read_bytes() == content


def test_a_finished_run_that_cannot_be_read_is_named_and_the_others_count(tmp_path, capsys) -> None:
    study, out = tmp_path / "runs", tmp_path / "out"
    write_rows(out, ROWS)
    run = runs()[0]
    folder = run.folder(study) / "a-run"
    folder.mkdir(parents=True)
    command = "python -m harness.run " + " ".join(run.words(study))
    for status, told in (("running", False), ("done", True)):
        (folder / "manifest.json").write_text(json.dumps({"status": status, "command": command}))
        assert main(["--no-runs", "--study", str(study), "--out", str(out)]) == 0
        assert ("left out" in capsys.readouterr().err) is told
        assert len(read_rows(out)) == len(ROWS)


def test_what_the_study_cannot_do_ends_in_words(tmp_path, capsys, monkeypatch) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    table = tmp_path / "table"
    table.mkdir()
    (table / "runs.csv").write_bytes(b"\xff\xfe\n")
    for words, status, said in (
        (["--only", "["], 2, "no pattern"),
        (["--only", "nowhere"], 2, "no point"),
        (["--no-runs", "--out", str(plain)], 9, f"{plain}: "),
        (["--no-runs", "--out", str(plain / "x")], 9, f"{plain}"),
        (["--rows-alone", "--out", str(table)], 2, "no table of the map"),
    ):
        assert main(["--study", str(tmp_path / "none"), *words]) == status
        assert said in capsys.readouterr().err
    monkeypatch.setattr(making.subprocess, "run", lambda *_, **__: _Ended(5))
    here = ["--study", str(tmp_path / "new"), "--out", str(tmp_path / "made")]
    assert main([*here, "--only", "^skew-0 main"]) == 5
    assert "ended with status 5" in capsys.readouterr().err


class _Ended:
    """A command that is done, with a status."""

    def __init__(self, returncode: int) -> None:
        self.returncode = returncode


needs_kept = pytest.mark.skipif(not (KEPT / "runs.csv").is_file(), reason="no map: make study")


@needs_kept
def test_what_is_kept_makes_tables_and_drawn_numbers_again(tmp_path) -> None:
    """From runs.csv alone, byte for byte, without any run folder."""
    (tmp_path / "runs.csv").write_bytes((KEPT / "runs.csv").read_bytes())
    assert main(["--rows-alone", "--out", str(tmp_path)]) == 0
    for name in ("map.md", "map_all.csv", "map.csv", *TABLES.values()):
        assert (tmp_path / name).read_bytes() == (KEPT / name).read_bytes(), name
    assert text_of(read_rows(KEPT)) == (KEPT / "runs.csv").read_text(encoding="utf-8")
    assert (KEPT / "map.png").is_file()


@needs_kept
@pytest.mark.parametrize(
    ("page", "mark"),
    [
        ("docs/when-mas-pays.md", "map"),
        ("docs/baselines.md", "baselines"),
        ("README.md", "paper"),
        ("docs/mas-plus.md", "claim-14"),
        ("docs/mas-plus.md", "claim-100"),
    ],
)
def test_a_page_shows_the_table_that_is_kept(page, mark) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    shown = re.search(rf"<!-- {mark} -->\n(.*?)<!-- end -->", text, re.S)
    assert shown.group(1).strip() == (KEPT / f"{mark}.md").read_text(encoding="utf-8").strip()


@needs_kept
def test_kept_rows_are_of_points_and_methods_that_are_listed() -> None:
    listed = {(p.name, m) for p in STUDY for part in p.seeds for m in PARTS[part]}
    rows = read_rows(KEPT)
    assert {(row.point, row.method) for row in rows} <= listed
    assert {row.step for row in rows} == {"fp32+channels-last+loop"}
    assert "--step" in COMMON
