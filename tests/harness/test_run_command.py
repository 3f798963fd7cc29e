"""Run the command that users type, in processes of its own, and read what it leaves behind."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from devices.time_model import HostTiming, TimeModel
from harness.cli.run import main
from harness.run_folder.lock import run_lock
from tests.waiting import LIMIT_S

ROOT = Path(__file__).parents[2]
TINY = [
    *("--clients", "3", "--images", "8", "--unseen-buildings", "1", "--unseen-images", "4"),
    *("--clients-per-round", "2", "--rounds", "3", "--batch-size", "2", "--evaluate-every", "1"),
    *("--size", "32", "--idle-s", "0.5", "--threads", "1", "--step", "plain"),
]
_WITHOUT_MAKE = {name: value for name, value in os.environ.items() if name != "MAKELEVEL"}
CONSTANT_20_W = "simulated:kind=counter,shape=constant,high_w=20"


def _start(*words: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "harness.run", *words],
        cwd=ROOT,
        env={**_WITHOUT_MAKE, "COLUMNS": "80", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _run(*words: str, **environment: str) -> tuple[int, str, str]:
    process = _start(*words, **environment)
    out, err = process.communicate(timeout=LIMIT_S)
    return process.returncode, out, err


def _folder(out: Path) -> Path:
    (folder,) = [path for path in out.iterdir() if path.is_dir()]
    return folder


def _rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / f"{table}.csv").open() as stream:
        return list(csv.DictReader(stream))


Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    """Return a function that does what `_run` does in this process, without starting torch anew."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("MAKELEVEL", raising=False)

    def typed(*words: str, **environment: str) -> tuple[int, str, str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        status = main(words)
        return status, *capsys.readouterr()

    return typed


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def finished(place: Path) -> tuple[Path, str]:
    """Run the default methods once on tiny data with a meter of exactly 20 W."""
    words = ["--out", str(place / "a"), "--cache", str(place / "cache")]
    code, out, err = _run(*TINY, *words, "--meter", CONSTANT_20_W)
    assert code == 0, err
    return _folder(place / "a"), out


def test_all_files_of_a_run_are_there(finished) -> None:
    """Tables, manifest, events, traces, affinities, weights and the report exist."""
    folder, _ = finished
    for name in ("manifest.json", "cells.csv", "metrics.csv", "phases.csv", "events.jsonl",
                 "traces/independent-s0-r0.csv.gz", "affinity/mas-splits-2-s0-r0.csv",
                 "affinity/mas-splits-2-s0-r0_rounds.csv", "report/index.html",
                 "checkpoints/all-in-one-s0-r0/sdnkt.safetensors"):  # fmt: skip
        assert (folder / name).stat().st_size > 0, name
    assert not list(folder.rglob("*.part"))
    assert json.loads((folder / "manifest.json").read_text())["status"] == "done"
    for line in (folder / "events.jsonl").read_text().splitlines():
        json.loads(line)


def test_energy_is_twenty_watts_times_time(finished) -> None:
    """A constant 20 W gives 20 J a second in every cell; phases add up; net of idle it is 0."""
    folder, _ = finished
    phases = _rows(folder, "phases")
    for row in _rows(folder, "cells"):
        time_s, energy_j = float(row["time_s"]), float(row["energy_j"])
        assert energy_j == pytest.approx(20 * time_s, rel=1e-3)
        assert float(row["energy_net_j"]) == pytest.approx(0, abs=1e-3 * energy_j)
        charged = [
            p for p in phases
            if p["cell"] == row["cell"] and p["phase"] in ("train", "affinity", "aggregate")
        ]  # fmt: skip
        assert math.fsum(float(p["energy_j"]) for p in charged) == pytest.approx(energy_j)
        assert math.fsum(float(p["time_s"]) for p in charged) == pytest.approx(time_s)
        assert (row["energy_kind"], row["host_matches_device"]) == ("counter", "true")
        assert row["time_model_s"] == ""


def test_passes_and_bytes_follow_the_method(finished) -> None:
    """3 rounds × 2 clients × 4 images: independent 5 encoders, all-in-one 1, MAS 1 + 2·splits.

    Bytes up equal bytes down: K models a round, of the size of the stored weights.
    """
    folder, _ = finished
    rows = {row["method"]: row for row in _rows(folder, "cells")}
    per_round = 2 * 4
    expected = {"independent": 15, "all-in-one": 3, "mas:splits=2": 5, "mas:splits=3": 7}
    for method, encoder_rounds in expected.items():
        assert int(rows[method]["encoder_passes"]) == per_round * encoder_rounds
        assert int(rows[method]["decoder_passes"]) == per_round * 3 * 5
    weights = load_file(folder / "checkpoints/all-in-one-s0-r0/sdnkt.safetensors")
    size = sum(t.numel() * t.element_size() for t in weights.values())
    for column in ("upload_bytes", "download_bytes"):
        assert int(rows["all-in-one"][column]) == 3 * 2 * size


def test_work_is_listed_by_job_and_kind(finished) -> None:
    """24 samples a job: a training pass is three forwards, averaging reads two models, writes one.

    In every cell what was trained is what cells.csv counts.
    """
    folder, _ = finished
    found = {(r["cell"], r["job"], r["kind"]): float(r["amount"]) for r in _rows(folder, "work")}
    rows = {row["cell"]: row for row in _rows(folder, "cells")}
    samples = 3 * 2 * 4
    for cell, jobs in (("independent-s0-r0", "sdnkt"), ("all-in-one-s0-r0", ["sdnkt"])):
        moved = 0.0
        for job in jobs:
            expected = {
                "forward encoder": 3 * samples, **{f"forward {task}": 3 * samples for task in job},
                "trained encoder": samples, "trained decoders": samples * len(job),
            }  # fmt: skip
            own = {kind: n for (c, j, kind), n in found.items() if (c, j) == (cell, job)}
            moved += own.pop("bytes moved")
            assert own == expected
        assert moved == 3 * int(rows[cell]["upload_bytes"])
    for cell, row in rows.items():
        for kind, column in (("encoder", "encoder_passes"), ("decoders", "decoder_passes")):
            trained = [n for (c, _, k), n in found.items() if (c, k) == (cell, f"trained {kind}")]
            assert math.fsum(trained) == int(row[column])
    units = {r["unit"] for r in _rows(folder, "work") if r["kind"] != "bytes moved"}
    assert units == {"samples"}


def test_predicted_seconds_price_the_counted_passes(finished) -> None:
    """A training pass is three forwards, look-aheads are counted in forwards; no other work is."""
    folder, _ = finished
    speed = json.loads((folder / "manifest.json").read_text())["calibration"]["forward_s"]
    for row in _rows(folder, "cells"):
        encoder = 3 * int(row["encoder_passes"]) + float(row["look_ahead_encoder_forwards"])
        decoder = 3 * int(row["decoder_passes"]) + float(row["look_ahead_decoder_forwards"])
        mean_s = math.fsum(speed[task] for task in "sdnkt") / 5  # every task passes as often
        predicted_s = encoder * speed["encoder"] + decoder * mean_s
        assert float(row["time_predicted_s"]) == pytest.approx(predicted_s)
        looks = float(row["look_ahead_encoder_forwards"])
        assert (looks > 0) == row["method"].startswith("mas")


def test_the_total_is_the_sum_of_the_last_test_losses(finished) -> None:
    """cells.csv agrees with metrics.csv, and groups cover every task once."""
    folder, _ = finished
    metrics = _rows(folder, "metrics")
    for row in _rows(folder, "cells"):
        groups = row["groups"].split("|")
        assert sorted("".join(groups)) == sorted("sdnkt")
        last = [
            float(m["value"]) for m in metrics
            if m["cell"] == row["cell"] and m["metric"] == "test_loss" and m["round"] == "3"
            and m["job"] in groups
        ]  # fmt: skip
        assert len(last) == 5
        assert float(row["total_loss"]) == pytest.approx(math.fsum(last), rel=1e-12)
        assert row["status"] == "done"


def test_the_screen_is_plain_and_narrow_where_it_is_no_terminal(finished) -> None:
    """Piped output has no control characters; the table fits 80 columns; a next step is named."""
    _, out = finished
    assert "\x1b" not in out
    assert "\r" not in out
    table = out[out.index("method  ") : out.index("took")]
    assert max(map(len, table.splitlines()[:-1])) <= 80
    assert "Next     python -m harness.run" in out
    assert "simulated" in out


@pytest.mark.whole
def test_another_process_gives_the_same_numbers(finished, place) -> None:
    """With another hash seed every learning value is the same to the last digit."""
    folder, _ = finished
    words = ["--out", str(place / "b"), "--cache", str(place / "cache"), "--meter", "none"]
    code, _, err = _run(*TINY, *words, "--no-report", PYTHONHASHSEED="99")
    assert code == 0, err
    again = _folder(place / "b")
    keys = ("cell", "round", "job", "task", "metric", "value")

    def values(path: Path) -> list[tuple[str, ...]]:
        return [tuple(row[k] for k in keys) for row in _rows(path, "metrics")]

    assert values(again) == values(folder)
    for row in _rows(again, "cells"):
        assert row["energy_j"] == ""
        assert "none" in row["energy_reason"]
        assert float(row["energy_model_j"]) > 0


@pytest.mark.whole
def test_another_device_is_modelled_and_said_everywhere(place) -> None:
    """Training is real; the board's time and energy are modelled, in columns of their own."""
    words = ["--device", "jetson-nano:cpu", "--methods", "all-in-one", "--meter", "none"]
    where = ["--out", str(place / "nano"), "--cache", str(place / "cache")]
    code, out, err = _run(*TINY, *words, *where)
    assert code == 0, err
    folder = _folder(place / "nano")
    (row,) = _rows(folder, "cells")

    assert (row["device"], row["host_matches_device"], row["energy_j"]) == (
        "jetson-nano", "false", "",
    )  # fmt: skip
    manifest = json.loads((folder / "manifest.json").read_text())
    full_load_w = manifest["energy_model"]["full_load_w"]
    assert float(row["energy_model_j"]) == pytest.approx(full_load_w * float(row["time_model_s"]))
    model, host = manifest["time_model"], manifest["host_timing"]
    forward_s = TimeModel(model["flop_per_s"], model["memory_bytes_per_s"]).forward_s(
        HostTiming(**host)
    )
    passes_s = 3 * int(row["encoder_passes"]) * math.fsum(forward_s.values())
    assert passes_s < float(row["time_model_s"]) < 1.05 * passes_s  # averaging adds a little
    assert "not that device" in out
    interval = model["interval"]
    assert f"({interval})" in " ".join(out.split())
    assert (
        f"Nano, processor modelled ({interval})" in (folder / "report" / "index.html").read_text()
    )


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--device", "raspberry-pi-4", "--require-device"], 3, "not a Raspberry Pi 4"),
        (["--meter", "none", "--require-meter"], 3, "energy cannot be measured"),
        (["--meter", "simulated", "--require-meter"], 3, "are made up"),
        (["--device", "jetson-nanno"], 2, "jetson-nano"),
        (["--methods", "mass"], 2, "Did you mean 'mas'"),
        (["--tasks", "sdx"], 2, "'x'"),
        (["--meter", "rappl"], 2, "rapl"),
        (["--rouns", "3"], 2, "--rounds"),
        (["--methods", "mas:splits=9"], 2, "9 splits of 5 tasks"),
        (["--out", "LICENSE/results"], 9, "LICENSE"),
        (["--max-time", "soon"], 2, "30m"),
        (["--max-energy", "5 miles"], 2, "5kJ"),
        (["--cool-down", "later"], 2, "auto"),
        (["--order", "sorted"], 2, "fixed"),
        (["--resume", "nowhere"], 7, "list runs"),
        (["--resume", "nowhere", "--fresh"], 2, "contradict"),
    ],
)
def test_bad_input_ends_with_its_status_before_any_work(
    words: list[str], status: int, said: str, place
) -> None:
    """The status, the wrong and the right word are given, without a traceback or a run folder."""
    where = [] if "--out" in words else ["--out", str(place / "none")]
    code, _, err = _run(*where, *words, "--cache", str(place / "cache"))

    assert (code, said in err, "Traceback" in err) == (status, True, False), err
    assert not (place / "none").exists() or not list((place / "none").iterdir())


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.whole)]
)
def test_an_interrupted_run_leaves_readable_files(place, number: int) -> None:
    """Ctrl-C in the middle of training: exit 130, tables and manifest whole, the cell marked."""
    out = place / f"stopped-{number}"
    process = _start(
        *TINY, "--rounds", "2000", "--out", str(out), "--cache", str(place / "cache"),
        "--meter", CONSTANT_20_W,
    )  # fmt: skip
    _wait_for_a_cell(process, out)
    process.send_signal(number)
    _, err = process.communicate(timeout=LIMIT_S)

    folder = _folder(out)
    (row,) = _rows(folder, "cells")
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert (row["status"], row["energy_j"], row["total_loss"]) == ("interrupted", "", "")
    assert json.loads((folder / "manifest.json").read_text())["status"] == "interrupted"
    assert _rows(folder, "phases")


def _wait_for_a_cell(process: subprocess.Popen, out: Path) -> None:
    """Wait until training of the first cell is under way."""
    deadline = time.monotonic() + LIMIT_S
    while "cell started" not in _events(out):
        assert time.monotonic() < deadline, process.communicate()
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    time.sleep(0.5)


def _events(out: Path) -> str:
    return "".join(path.read_text() for path in out.glob("*/events.jsonl"))


def test_a_loss_that_explodes_fails_its_cell_and_others_go_on(place, here: Here) -> None:
    """The cell says task and round, the next method is still trained, the status is 5."""
    words = ["--learning-rate", "1e4", "--methods", "all-in-one,independent", "--meter", "none",
             "--no-report"]  # fmt: skip
    where = ["--out", str(place / "exploded"), "--cache", str(place / "cache")]
    code, _, err = here(*TINY, *words, *where)
    rows = _rows(_folder(place / "exploded"), "cells")

    assert code == 5, err
    assert [row["status"] for row in rows] == ["failed", "failed"]
    assert "round" in rows[0]["reason"]
    assert "task" in rows[0]["reason"]
    assert rows[0]["total_loss"] == ""


def test_under_make_the_next_command_is_makes(place, here: Here) -> None:
    """Whoever typed make run is told what to type to make; options given are kept."""
    words = ["--methods", "all-in-one", "--meter", "none", "--no-report", "--quick"]
    where = ["--out", str(place / "made"), "--cache", str(place / "cache")]
    code, out, err = here(*TINY, *words, *where, MAKELEVEL="1")

    assert code == 0, err
    (line,) = (line for line in out.splitlines() if line.startswith("Next"))
    assert line.startswith('Next     make run ARGS="')
    assert "--methods all-in-one" in line
    assert "--quick" not in line


def test_the_reference_may_run_last(place, here: Here) -> None:
    """Δ against independent is there for a method that ran before it; tables keep their order."""
    words = ["--methods", "all-in-one,independent", "--meter", "none", "--no-report"]
    # interleaved, the second repeat begins with the method that comes second in tables
    more = ["--order", "interleaved", "--repeats", "2"]
    where = ["--out", str(place / "order"), "--cache", str(place / "cache")]
    code, _, err = here(*TINY, *words, *more, *where)
    folder = _folder(place / "order")
    rows = _rows(folder, "cells")
    events = map(json.loads, (folder / "events.jsonl").read_text().splitlines())

    assert code == 0, err
    assert [row["cell"] for row in rows] == [
        "independent-s0-r0", "all-in-one-s0-r0", "independent-s0-r1", "all-in-one-s0-r1",
    ]  # fmt: skip
    assert [e["cell"] for e in events if e["event"] == "cell started"] == [
        "independent-s0-r0", "all-in-one-s0-r0", "all-in-one-s0-r1", "independent-s0-r1",
    ]  # fmt: skip
    assert rows[1]["delta_mtl"] == rows[3]["delta_mtl"] != ""


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(place, here: Here) -> None:
    """Time, joules and disk with their basis, the limit, exit 0, and no folder."""
    out = place / "dry"
    words = ["--dry-run", "--max-energy", "5kJ", "--out", str(out), "--meter", "none"]
    code, said, err = here(*TINY, *words, "--cache", str(place / "dry-cache"))

    assert code == 0, err
    assert "J modelled" in said
    assert "from timing a few steps here" in " ".join(said.split())
    assert "of results" in said
    assert "5000 J (modelled: no meter here)" in said
    assert max(map(len, said.splitlines())) <= 80
    assert not out.exists()
    assert not (place / "dry-cache").exists()


def test_a_budget_ends_with_its_own_status_and_the_command_to_go_on(place, here: Here) -> None:
    """--max-time stops with 8 and says what to type; typed again, it goes on and ends with 0."""
    words = ["--methods", "all-in-one", "--meter", "none", "--no-report"]
    where = ["--out", str(place / "budget"), "--cache", str(place / "cache")]
    code, out, err = here(*TINY, *words, *where, "--max-time", "0.01s")
    assert code == 8, err
    assert "--max-time" in out
    assert "To go on" in out
    folder = _folder(place / "budget")

    code, out, err = here(*TINY, *words, *where)

    assert code == 0, err
    assert "is unfinished" in out
    assert _folder(place / "budget") == folder
    assert [row["status"] for row in _rows(folder, "cells")] == ["done"]


def test_resume_takes_the_options_of_the_run(place, here: Here) -> None:
    """--resume RUN alone is enough; an option that contradicts the run is refused and named."""
    words = ["--methods", "all-in-one", "--meter", "none", "--no-report", "--max-time", "0.01"]
    where = ["--out", str(place / "named"), "--cache", str(place / "cache")]
    assert here(*TINY, *words, *where)[0] == 8
    folder = _folder(place / "named")

    code, _, err = here("--resume", str(folder), "--rounds", "4", "--no-report")
    assert (code, "--rounds 3 → 4" in err) == (2, True), err
    code, _, err = here("--resume", str(folder), "--no-report")
    assert code == 0, err
    assert json.loads((folder / "manifest.json").read_text())["status"] == "done"


def test_a_run_that_is_done_is_refused_before_anything_is_timed(finished, place, here) -> None:
    """Nor is a plan shown of what will not be; a folder copied elsewhere is refused as well."""
    folder, _ = finished
    for words in ([], ["--dry-run"], ["--rounds", "4"]):
        code, out, err = here("--resume", str(folder), *words)
        assert (code, out) == (2, "")
        assert "cannot be gone on with: it is done" in err


def test_beside_a_run_that_goes_on_nothing_is_timed(finished, place, here) -> None:
    """Steps timed there would disturb what is measured; a plan alone may be asked for."""
    folder, _ = finished
    where = ["--out", str(folder.parent), "--cache", str(place / "cache"), "--meter", "none"]
    with run_lock(folder):
        code, out, err = here(*TINY, *where)
        assert (code, out) == (9, "")
        assert str(folder) in err
        assert here(*TINY, *where, "--dry-run")[0] == 0


@pytest.mark.parametrize(
    ("workload", "status"), [("multitask", 0), ("lora", 2), ("personalized", 2), ("unlearning", 2)]
)
def test_calibrate_is_an_option_where_the_step_is_chosen(
    workload: str, status: int, place, here: Here
) -> None:
    """Elsewhere it would be taken and do nothing."""
    where = ["--out", str(place / "none"), "--cache", str(place / "cache"), "--meter", "none"]
    code, _, err = here("--workload", workload, "--calibrate", "--dry-run", "--quick", *where)
    assert code == status, err
    assert ("--calibrate" in err) is (status != 0)


def test_damaged_data_are_not_trained_on(place, here: Here) -> None:
    """One flipped byte in one label file stops the run before any training and names the file."""
    words = ["--methods", "all-in-one", "--meter", "none", "--no-report", "--data-seed", "77"]
    where = ["--out", str(place / "damaged"), "--cache", str(place / "own")]
    assert here(*TINY, *words, *where)[0] == 0
    (file,) = (place / "own").glob("*/test/client_01/d.npy")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)

    code, _, err = here(*TINY, *words, *where)

    assert code == 9
    assert "d.npy" in err
    assert "Traceback" not in err
    assert _folder(place / "damaged")


@pytest.mark.whole
def test_a_meter_that_dies_fails_cells_that_require_it(place) -> None:
    """With --require-meter a cell without joules fails and says why; the status is 5."""
    words = ["--methods", "all-in-one", "--rounds", "60", "--require-meter", "--no-report"]
    where = ["--out", str(place / "died"), "--cache", str(place / "cache")]
    trace = place / "constant.csv"
    rows = [f"{0.1 * tick},in,20.0," for tick in range(6000)]
    trace.write_text("\n".join(["t_s,rail,power_w,energy_j", *rows]))
    process = _start(*TINY, *words, *where, "--meter", f"replay:path={trace}")
    _wait_for_a_cell(process, place / "died")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    _, err = process.communicate(timeout=LIMIT_S)
    (row,) = _rows(_folder(place / "died"), "cells")

    assert children
    assert (process.returncode, row["status"], row["energy_j"]) == (5, "failed", ""), err
    assert "collector died" in row["reason"]


def test_help_and_errors_need_neither_torch_nor_numpy(tmp_path) -> None:
    """--help and a wrong option answer without the heavy packages being imported."""
    code = (
        "import sys; from harness.cli.run import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "main(['--tasks', 'xyz'])\n"
        "print([m for m in ('torch', 'numpy', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "[]"
