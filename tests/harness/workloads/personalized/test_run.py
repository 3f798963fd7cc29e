"""A run by its command: bad input, going on after a stop, evidence, report."""

import csv
import json
import shutil

import numpy as np
import pytest

from harness.cli.list import main as list_command
from harness.cli.pack import main as pack
from harness.cli.run import main as run
from harness.evidence.judging import judge
from harness.running import limits

pil = pytest.importorskip("PIL.Image")

BASE = ["--workload", "personalized", "--meter", "none", "--idle-s", "0", "--cool-down", "off",
        "--threads", "1"]  # fmt: skip
SMALL = [*BASE, "--clients", "3", "--families", "tiny,dense,small", "--images", "420",
         "--public-share", "0.25", "--rounds", "2", "--epochs", "1"]  # fmt: skip
METHOD = "pfedclub:groups=3,limit=0.1,candidates=1,tune=1"


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def write(path, found):
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, found[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)


def folder_in(out):
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    return folder


def refused(words, capsys):
    """Return what is said of a run that is refused before anything is trained."""
    status = run([*words, "--dry-run"])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert status in (2, 9), said
    return " ".join((said.err + said.out).split())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Run a method with teachers over two seeds; local and smooth come by themselves."""
    out = tmp_path_factory.mktemp("personalized")
    assert run([*SMALL, "--methods", METHOD, "--seeds", "0-1", "--out", str(out),
                "--no-report"]) == 0  # fmt: skip
    return folder_in(out)


@pytest.fixture
def copied(finished, tmp_path):
    copy = tmp_path / finished.name
    shutil.copytree(finished, copy)
    return copy


def test_controls_run_beside_teachers_without_being_asked_for(finished) -> None:
    cells = rows(finished / "cells.csv")
    assert {r["method"] for r in cells} == {"local", "smooth", METHOD}
    assert {r["status"] for r in cells} == {"done"}
    for row in cells:
        own = rows(finished / "personalized" / f"{row['cell']}_clients.csv")
        right = [float(r["accuracy"]) for r in own]
        assert float(row["objective_value"]) == pytest.approx(np.mean(right))
        assert sum(int(r["upload_bytes"]) for r in own) == int(row["upload_bytes"])
        assert [r["family"] for r in own] == ["tiny", "dense", "small"]
    assert len(list((finished / "checkpoints").glob("*/*.safetensors"))) == len(cells)


def test_phases_of_the_server_are_its_own_and_add_up(finished) -> None:
    cell = next(r for r in rows(finished / "cells.csv") if r["method"] == METHOD)
    costs = rows(finished / "personalized" / f"{cell['cell']}_costs.csv")
    server = {r["phase"] for r in costs if r["party"] == "server"}
    assert {"likeness", "group", "search", "aggregate"} <= server
    assert sum(float(r["time_s"]) for r in costs) == pytest.approx(float(cell["time_s"]))
    teachers = rows(finished / "personalized" / f"{cell['cell']}_teachers.csv")
    assert len(teachers) == 6
    for row in teachers:
        assert row["reason"] or float(row["ratio"]) <= 1.1
    values = {r["metric"]: float(r["value"]) for r in rows(finished / "metrics.csv")
              if r["cell"] == cell["cell"] and not r["task"]}  # fmt: skip
    assert values["limit_violations"] == 0
    assert values["rounds_without_teacher"] == sum(bool(r["reason"]) for r in teachers)


@pytest.mark.whole
def test_it_is_sound_packed_and_reported_with_the_control(finished, capsys) -> None:
    from analysis.report import main as report  # noqa: PLC0415

    assert not [f for f in judge(finished).findings if f.level == "damaged"]
    assert pack([str(finished), "--out", str(finished.parent / "bundle")]) == 0
    assert list((finished.parent / "bundle").rglob("*_teachers.csv"))
    capsys.readouterr()
    pages = list((finished.parent / "bundle").rglob("index.html"))
    if not pages:
        assert report([str(finished)]) == 0
        pages = [finished / "report" / "index.html"]
    figures = {p.stem for p in pages[0].parent.rglob("*.png")}
    assert {"accuracy_joules", "bill", "growth"} <= figures
    assert any(name.startswith("teachers_") for name in figures)
    page = pages[0].read_text()
    assert "the control whose teacher knows nothing" in page
    assert "− smooth" in page


@pytest.mark.parametrize(
    ("file", "changes", "says"),
    [("teachers", {"teacher_parameters": "9000", "parameters": "3000", "ratio": "3.0"},
      "larger than the limit"),
     ("teachers", {"teacher_parameters": "3000", "parameters": "3000", "ratio": "0.5"}, "ratio"),
     ("clients", {"accuracy": "0.0123"}, "objective_value"),
     ("clients", {"upload_bytes": "1"}, "upload_bytes"), ("costs", {"time_s": "9.0"}, "time_s")],
)  # fmt: skip
def test_what_its_tables_contradict_is_found(copied, file, changes, says) -> None:
    cell = next(r["cell"] for r in rows(copied / "cells.csv") if r["method"] == METHOD)
    path = copied / "personalized" / f"{cell}_{file}.csv"
    found = rows(path)
    found[0] |= changes
    write(path, found)
    texts = [f.text for f in judge(copied).findings if f.level == "damaged"]
    assert any(says in text for text in texts), texts


def test_a_run_without_its_control_is_told_so(copied) -> None:
    write(copied / "cells.csv",
          [r for r in rows(copied / "cells.csv") if r["method"] != "smooth"])  # fmt: skip
    found = {f.code: f for f in judge(copied).findings}
    assert "smooth did not run" in found["no-control"].text


@pytest.mark.whole
@pytest.mark.parametrize("method", ["pfedclub:groups=3,tune=1", "fedproto", "fccl"])
def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path, monkeypatch, method) -> None:
    """Teachers, prototypes and kept networks are in the state of the round."""

    def came_of(out):
        folder = folder_in(out)
        files = sorted((folder / "checkpoints").glob("*/*.safetensors"))
        cells = [(r["objective_value"], r["upload_bytes"], r["download_bytes"])
                 for r in rows(folder / "cells.csv")]  # fmt: skip
        return [f.read_bytes() for f in files], cells

    words = [*SMALL, "--rounds", "3", "--methods", method, "--no-report", "--out"]
    assert run([*words, str(tmp_path / "whole")]) == 0
    stopped = tmp_path / "stopped"
    real = limits.Budget.check
    for _ in range(9):
        counted = iter(range(1000))

        def stop(self, counted=counted):
            if next(counted) == 1:
                raise limits.BudgetReachedError("stopped by the test")
            real(self)

        monkeypatch.setattr(limits.Budget, "check", stop)
        if run([*words, str(stopped)]) == 0:
            break
    assert came_of(tmp_path / "whole") == came_of(stopped)
    interruptions = [int(r["interruptions"]) for r in rows(folder_in(stopped) / "cells.csv")]
    assert max(interruptions) >= 1


# bad input, line by line


@pytest.mark.parametrize("share", ["0", "0.05"])
def test_too_few_public_images_are_refused_with_the_least_number(share, capsys) -> None:
    said = refused([*BASE, "--public-share", share, "--methods", "pfedclub"], capsys)
    assert "at least 100 public images" in said


def test_missing_public_labels_are_refused_and_the_way_without_is_offered(capsys) -> None:
    said = refused([*BASE, "--no-public-labels", "--methods", "pfedclub:groups=4"], capsys)
    assert "needs labels of public images" in said
    assert "pfedclub:groups=4,labels=no" in said
    said = refused([*BASE, "--no-public-labels", "--methods", "local+public"], capsys)
    assert "needs labels" in said


def write_images(folder, count, size=(8, 8), seed=0):
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for i in range(count):
        pil.fromarray(random.integers(0, 256, size).astype(np.uint8)).save(folder / f"{i}.png")


@pytest.fixture
def pets(tmp_path):
    """Return what makes a folder of two classes of images of a size."""

    def make(count=40, size=(8, 8)):
        for number, name in enumerate(("cat", "dog")):
            write_images(tmp_path / name, count, size, seed=number)
        return [*BASE, "--data", str(tmp_path), "--clients", "2"]

    return make


@pytest.mark.parametrize(
    ("where", "size", "says"), [("public/cow", (8, 8), "cow"), ("public/cat", (9, 8), "(1, 9, 8)")]
)
def test_public_images_of_other_classes_or_shapes_are_refused(
    tmp_path, pets, where, size, says, capsys
) -> None:
    words = pets()
    write_images(tmp_path / where, 3, size, seed=9)
    assert says in refused(words, capsys)


def test_a_folder_whose_public_images_have_no_labels_says_so(tmp_path, pets, capsys) -> None:
    words = pets()
    write_images(tmp_path / "public", 120, seed=9)
    assert "these have none" in refused([*words, "--methods", "kd-public"], capsys)


def test_more_groups_than_blocks_or_none_are_refused_with_the_range(capsys) -> None:
    for more in ("", ",average=yes"):
        said = refused([*SMALL, "--methods", f"pfedclub:groups=40{more}"], capsys)
        assert "from 1 to 11" in said  # 4 + 3 + 4 blocks
    for text in ("groups=0", "limit=-1", "weight=-1", "candidates=0"):
        assert "must be" in refused([*SMALL, "--methods", f"pfedclub:{text}"], capsys)


def test_one_client_a_round_is_told_that_it_trains_alone(capsys) -> None:
    words = [*SMALL, "--clients-per-round", "1", "--methods", "pfedclub:groups=1", "--dry-run"]
    assert run(words) == 0
    assert "train it alone" in " ".join(capsys.readouterr().out.split())


def test_a_family_larger_than_its_devices_memory_is_refused(pets, capsys) -> None:
    said = refused([*pets(12, (640, 640)), "--families", "wide", "--methods", "local",
                    "--client-devices", "raspberry-pi-zero-2"], capsys)  # fmt: skip
    assert "family wide needs at least" in said
    assert "512 MB" in said


def test_images_too_small_for_a_family_are_refused(pets, capsys) -> None:
    said = refused([*pets(size=(3, 3)), "--families", "small,dense", "--methods", "local"], capsys)
    assert "family small: images of 1×3×3" in said
    assert "family dense" not in said


def test_clients_that_cannot_be_given_enough_are_refused(capsys) -> None:
    said = refused([*BASE, "--images", "120", "--clients", "30", "--methods", "local"], capsys)
    assert "cannot be divided" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [(["--families", "smal"], "small"), (["--families", "by-device"], "--client-devices"),
     (["--client-devices", "raspberry-pi-9"], "raspberry-pi"), (["--data", "digit"], "digits"),
     (["--data", "/nowhere/at/all"], "no such folder"), (["--split", "dirichle"], "dirichlet"),
     (["--classes-each", "1"], "at least 2"), (["--accelerator", "cuda"], "cpu"),
     (["--clients-per-round", "99"], "impossible"), (["--methods", "pfedclb"], "pfedclub"),
     (["--learning-rate", "nan"], "learning-rate"), (["--concentration", "0"], "concentration")],
)  # fmt: skip
def test_wrong_options_are_refused_with_the_nearest_right_one(words, says, capsys) -> None:
    assert says in refused([*BASE, *words], capsys)


def test_devices_of_clients_decide_families_and_bills(tmp_path) -> None:
    words = [*SMALL, "--families", "by-device", "--methods", "local", "--out", str(tmp_path),
             "--client-devices", "raspberry-pi-zero-2,jetson-orin-nano,x86"]  # fmt: skip
    assert run([*words, "--no-report"]) == 0
    folder = folder_in(tmp_path)
    own = rows(folder / "personalized" / "local-s0-r0_clients.csv")
    assert [r["family"] for r in own] == ["dense", "deep", "residual"]
    assert [r["device"] for r in own] == ["raspberry-pi-zero-2", "jetson-orin-nano", "x86"]
    assert all(float(r["time_model_s"]) > 0 for r in own)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["families"] == ["dense", "deep", "residual"]


def test_it_is_listed(capsys) -> None:
    for kind, word in (("methods", "pfedclub"), ("models", "mobile"), ("datasets", "digits")):
        assert list_command([kind, "--workload", "personalized"]) == 0
        assert word in capsys.readouterr().out
    assert list_command(["workloads"]) == 0
    assert "personalized" in capsys.readouterr().out
