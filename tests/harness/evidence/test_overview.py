"""Every run below a folder is listed with what it cost and reached, and one page links them."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from analysis import report
from harness.cli import check, compare, infer, run
from harness.cli.list import main
from harness.core.errors import UsageError
from harness.evidence.bundle import Packing, pack
from harness.evidence.overview import overview, run_entry, run_folders
from harness.evidence.overview_page import joules, write_overview
from harness.evidence.reading import find_run
from tests.harness.evidence.test_bundle import GOLDEN


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Return a folder with a run in it, one two folders down, and a damaged one."""
    shutil.copytree(GOLDEN, tmp_path / "first")
    shutil.copytree(GOLDEN, tmp_path / "paper" / "main" / "second")
    shutil.copytree(GOLDEN, tmp_path / "torn")
    (tmp_path / "torn" / "cells.csv").write_bytes(b"\xff\xfe")
    (tmp_path / "first" / "report").mkdir()
    (tmp_path / "first" / "report" / "index.html").write_text("a report")
    return tmp_path


def test_runs_are_found_at_any_depth_and_not_inside_runs(shelf: Path) -> None:
    shutil.copytree(GOLDEN, shelf / "first" / "inference")
    found = [path.relative_to(shelf).as_posix() for path in run_folders(shelf)]
    assert found == ["first", "paper/main/second", "torn"]


def test_an_entry_holds_what_the_files_say(shelf: Path) -> None:
    """Sums and means are those that a spreadsheet would give."""
    entry = overview(shelf)[0]
    table = list(csv.DictReader((GOLDEN / "cells.csv").read_text().splitlines()))
    rows = [row for row in table if row["status"] == "done"]
    column = "energy_j" if any(row["energy_j"] for row in rows) else "energy_model_j"
    total = sum(float(row[column]) for row in rows if row[column])
    assert (entry.energy_j or entry.energy_model_j) == pytest.approx(total)
    for method, mean in entry.methods.items():
        losses = [float(row["total_loss"]) for row in rows if row["method"] == method]
        assert mean == (pytest.approx(sum(losses) / len(losses)) if losses else None)
    assert entry.best == min(((m, v) for m, v in entry.methods.items() if v), key=lambda p: p[1])
    assert ("modelled" in joules(entry)) is (entry.energy_j is None)


def test_a_run_is_found_by_its_name_wherever_it_lies(shelf: Path) -> None:
    """Pages and remedies name runs without their folder; a name that two have is nobody's."""
    assert find_run("second", shelf) == shelf / "paper" / "main" / "second"
    shutil.copytree(GOLDEN, shelf / "other" / "second")
    with pytest.raises(UsageError, match="no such run folder"):
        find_run("second", shelf)


@pytest.mark.parametrize(
    ("meter", "origin"),
    [("rapl", "measured"), ("simulated", "made up"), ("rapl+simulated", "made up"),
     ("replay", "replayed"), ("simulation-board", "measured")],
)  # fmt: skip
def test_joules_of_no_sensor_say_so(draft, meter, origin) -> None:
    facts = {"meter": meter, "name": meter, "kind": "counter", "scope": "package"}
    begun = draft("a", meter=facts)
    entry = run_entry(begun.fill().write())
    assert entry.energy_origin == origin
    assert joules(entry).endswith(f" J {origin}")


def test_the_page_links_reports_and_says_what_is_damaged(shelf: Path) -> None:
    page = write_overview(shelf)
    assert page is not None
    text = page.read_text()
    assert 'href="first/report/index.html"' in text
    assert "paper/main/second" in text
    assert "cannot be read" in text
    assert write_overview(shelf) == page  # it is ours, so it is written again


def test_a_page_of_somebody_else_is_left_alone(shelf: Path) -> None:
    (shelf / "index.html").write_text("my thesis")
    assert write_overview(shelf) is None
    assert (shelf / "index.html").read_text() == "my thesis"


def test_names_of_strangers_do_no_harm(shelf: Path) -> None:
    manifest = json.loads((shelf / "first" / "manifest.json").read_text())
    manifest["device"] = {"name": "<script>alert(1)</script>"}
    (shelf / "first" / "manifest.json").write_text(json.dumps(manifest))
    page = write_overview(shelf)
    assert page is not None
    assert "<script>" not in page.read_text()


def test_a_folder_of_runs_is_no_run_and_names_them(shelf: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find_run(str(shelf / "paper"))
    assert str(shelf / "paper" / "main" / "second") in caught.value.remedy


def test_the_list_names_device_joules_and_report(
    shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "--out", str(shelf), "--json", "--page"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [item["name"] for item in listed] == ["first", "paper/main/second", "torn"]
    assert listed[0]["report"].endswith("first/report/index.html")
    assert (shelf / "index.html").is_file()


def test_a_sum_over_some_cells_is_not_shown_as_that_of_all(draft) -> None:
    """Two finished cells, one of them with 100 J: of the other nothing is known but its model."""
    meter = {"meter": "rapl", "name": "rapl", "kind": "counter", "scope": "package"}
    begun = draft("a", meter=meter, config={"methods": ["m"], "seeds": [0, 1], "repeats": 1}).fill()
    begun.rows[0] |= {"energy_j": 100.0, "energy_model_j": 90.0}
    begun.rows[1] |= {"energy_j": None, "energy_model_j": 95.0}
    entry = run_entry(begun.write())
    assert (entry.energy_j, entry.energy_cells, entry.cells["done"]) == (100.0, 1, 2)
    assert joules(entry) == "100 J measured in 1 of 2 cells"
    none = draft("b", meter=meter, config={"methods": ["m"], "seeds": [0, 1], "repeats": 1}).fill()
    none.rows[0] |= {"energy_j": None, "energy_model_j": 90.0}
    none.rows[1] |= {"energy_j": None, "energy_model_j": 95.0}
    assert joules(run_entry(none.write())) == "185 J modelled"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle, which takes seconds to make."""
    top = tmp_path_factory.mktemp("packed")
    shutil.copytree(GOLDEN, top / "first")
    return pack([top / "first"], top / "my bundle", Packing(private=()))


@pytest.fixture
def bundle(shelf: Path, packed: Path) -> Path:
    """Return a bundle beside the runs."""
    return Path(shutil.copytree(packed, shelf / "my bundle"))


def test_a_bundle_is_no_run_and_is_said_to_be_a_bundle(shelf: Path, bundle: Path, capsys) -> None:
    assert bundle not in list(run_folders(shelf))
    main(["runs", "--out", str(shelf)])
    assert f"a bundle of runs, not a run. {how(bundle)}" in capsys.readouterr().out
    page = write_overview(shelf)
    assert page is not None
    assert "<h1>3 runs</h1>" in page.read_text()
    assert "a bundle of runs, not a run" in page.read_text()


def how(bundle: Path) -> str:
    return f"To check it: python -m harness.pack --verify '{bundle}'; its runs: '{bundle}'/data/*"


@pytest.mark.parametrize(
    "command",
    [
        lambda folder: check.main([folder]),
        lambda folder: compare.main([folder, folder]),
        lambda folder: infer.main([folder]),
        lambda folder: report.main([folder]),
        lambda folder: run.main(["--resume", folder]),
    ],
    ids=["check", "compare", "infer", "report", "resume"],
)
def test_a_command_about_runs_says_what_a_bundle_is_for(command, bundle: Path, capsys) -> None:
    assert command(str(bundle)) == 2
    assert how(bundle) in " ".join(capsys.readouterr().err.split())


def test_a_folder_with_bundles_alone_names_them(bundle: Path, tmp_path_factory) -> None:
    shelf = tmp_path_factory.mktemp("only")
    alone = bundle.rename(shelf / "my bundle")
    with pytest.raises(UsageError, match="bundle of runs") as caught:
        find_run(str(shelf))
    assert caught.value.remedy == how(alone)


def test_a_run_in_a_bundle_is_a_run_like_any_other(shelf: Path, bundle: Path) -> None:
    (inside,) = (bundle / "data").iterdir()
    assert find_run(str(inside)) == inside
    assert list(run_folders(bundle / "data")) == [inside]


def test_folders_that_are_suggested_are_runs(shelf: Path, bundle: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find_run(str(shelf))
    assert "my bundle" not in caught.value.remedy
    with pytest.raises(UsageError) as caught:
        find_run(f"{bundle}s")
    assert "my bundle" not in caught.value.remedy
