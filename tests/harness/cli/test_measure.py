"""`harness.measure` passes a command through and says what it took, or why it cannot."""

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PYTHON = sys.executable
METER = ["--meter", "simulated:high_w=10", "--rate", "50"]


def measure(*words, cwd, send=None, after_s=1.0, text=None):
    """Run the command; return exit status, standard output and standard error."""
    process = subprocess.Popen(
        [PYTHON, "-m", "harness.measure", *words], cwd=cwd, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    if send is not None:
        deadline = time.monotonic() + 30
        while not (Path(cwd) / "ready").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(send)
    out, err = process.communicate(text, timeout=60)
    return process.returncode, out, err


def measured(*words, cwd):
    """Return the JSON object of a measurement without a folder."""
    status, out, err = measure("--json", "-", "--no-results", *words, cwd=cwd)
    return status, json.loads(out), err


def test_one_object_with_the_contract_s_names(tmp_path):
    status, found, err = measured(*METER, "--", "sh", "-c", "echo hello; sleep 0.3", cwd=tmp_path)
    assert status == found["exit_status"] == 0
    assert found["energy_j"] == pytest.approx(10 * found["time_s"], abs=found["energy_error_j"])
    assert (found["energy_meter"], found["energy_scope"]) == ("simulated", "made up")
    assert found["energy_model_j"] > 0
    assert len(found["runs"]) == 1
    assert found["time_s"] >= 0.3
    assert "hello" in err  # its output gives way to the object
    assert found["energy_delay_js"] == pytest.approx(found["energy_j"] * found["time_s"])


def test_input_output_and_status_pass_through(tmp_path):
    status, out, err = measure(
        "--no-results", *METER, "--", "sh", "-c", "cat; exit 7", cwd=tmp_path, text="through\n"
    )
    assert (status, out) == (7, "through\n")
    assert "exit status 7" in err


def test_processor_seconds_and_memory_of_grandchildren_count(tmp_path):
    inner = (
        "b = bytearray(200_000_000); import time; t = time.process_time()\n"
        "while time.process_time() < t + 0.4: pass\n"
        "time.sleep(3)"  # looks at memory grow rare where a look takes long
    )
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    _, found, _ = measured("--meter", "none", "--", PYTHON, "-c", outer, cwd=tmp_path)
    assert found["cpu_s"] >= 0.4
    assert 200e6 < found["peak_memory_bytes"] < 300e6


def test_an_orphan_counts_too(tmp_path):
    """Its parent does not wait for it."""
    inner = "import time; t = time.process_time()\nwhile time.process_time() < t + 0.3: pass"
    wait = "until [ -e over ]; do sleep 0.05; done; sleep 0.2"  # however long it takes meanwhile
    line = f"(({PYTHON} -c {shlex.quote(inner)}; touch over) &) ; {wait}"
    _, found, _ = measured("--meter", "none", "--", "sh", "-c", line, cwd=tmp_path)
    assert found["cpu_s"] >= 0.3


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        (["no-such-command"], 127, "was not found"),
        (["/"], 126, "cannot be started"),
        (["sh", "-c", "kill -9 $$"], 137, "SIGKILL"),
        (["sh", "-c", "kill -15 $$"], 143, "SIGTERM"),
    ],
)
def test_how_a_command_failed_is_said(tmp_path, command, status, said):
    found_status, found, err = measured(*METER, "--", *command, cwd=tmp_path)
    assert found_status == found["exit_status"] == status
    assert said in found["runs"][0]["reason"]
    assert said in err
    if status in (126, 127):
        assert found["energy_j"] is found["time_s"] is found["energy_model_j"] is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_command_and_what_was_measured_is_kept(tmp_path, number):
    status, _, err = measure(
        *METER, "--repeat", "3", "--", "sh", "-c", "touch ready; exec sleep 20",
        cwd=tmp_path, send=number,
    )  # fmt: skip
    assert status == 130
    assert signal.Signals(number).name in err
    (folder,) = (path.parent for path in (tmp_path / "results").glob("*/manifest.json"))
    assert json.loads((folder / "manifest.json").read_text())["status"] == "interrupted"
    assert "interrupted" in (folder / "cells.csv").read_text()


def test_a_killed_measurement_leaves_a_readable_folder(tmp_path):
    measure(
        *METER, "--", "sh", "-c", "touch ready; exec sleep 1", cwd=tmp_path, send=signal.SIGKILL
    )
    (folder,) = (path.parent for path in (tmp_path / "results").glob("*/manifest.json"))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["status"], manifest["workload"]) == ("running", "measure")
    assert (folder / "events.jsonl").read_text()


KILL_THE_METER = """
import os, pathlib, signal, time
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        words = (folder / "cmdline").read_bytes().split(bytes(1))
        if parent == os.getppid() and b"devices.collector" in words:
            os.kill(int(folder.name), signal.SIGKILL)
    except OSError:
        pass
time.sleep(0.3)
"""


def test_a_killed_meter_is_said_on_disk_and_the_command_goes_on(tmp_path):
    """No joules, the reason in cells.csv, and a folder that the other commands read."""
    status, _, err = measure(*METER, "--", PYTHON, "-c", KILL_THE_METER, cwd=tmp_path)
    assert status == 0
    assert "the collector died" in " ".join(err.split())
    (folder,) = (path.parent for path in (tmp_path / "results").glob("*/manifest.json"))
    with (folder / "cells.csv").open(newline="") as stream:
        (cell,) = csv.DictReader(stream)
    assert (cell["status"], cell["energy_j"]) == ("done", "")
    assert "the collector died" in cell["energy_reason"]
    assert float(cell["time_s"]) >= 0.3


@pytest.mark.parametrize("victim", ["command", "measurement"])
def test_what_a_kill_leaves_is_read_by_check(tmp_path, victim):
    """kill -9 of either: the folder is whole, incomplete, and says which it was."""
    line = "touch ready; exec sleep 1" if victim == "measurement" else "kill -9 $$"
    send = signal.SIGKILL if victim == "measurement" else None
    measure(*METER, "--", "sh", "-c", line, cwd=tmp_path, send=send)
    (folder,) = (path.parent for path in (tmp_path / "results").glob("*/manifest.json"))
    done = subprocess.run(
        [PYTHON, "-m", "harness.check", str(folder)], cwd=tmp_path, text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "incomplete" in done.stdout
    assert ("SIGKILL" if victim == "command" else "broken off") in done.stdout
    assert "Measure again: python -m harness.measure" in " ".join(done.stdout.split())
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["meter"]["meter"], manifest["host"]["cores"] > 0) == ("simulated", True)
    assert (folder / "samples").is_dir()  # what the meter told until then


def test_without_a_meter_joules_are_modelled(tmp_path):
    _, found, err = measured("--meter", "none", "--", "sleep", "0.1", cwd=tmp_path)
    assert found["energy_j"] is found["energy_error_j"] is None
    assert found["energy_model_j"] > 0
    assert "modelled, not measured" in err


def test_shorter_than_the_period_is_empty_with_a_reason(tmp_path):
    words = ("--meter", "simulated:kind=sampled", "--rate", "1", "--", "true")
    _, found, _ = measured(*words, cwd=tmp_path)
    assert found["energy_j"] is None or found["runs"][0]["flags"]
    assert found["energy_j"] is not None or "too short" in found["energy_reason"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["sleep", "1"], 2, "--"),
        ([], 2, "--"),
        (["--"], 2, "--"),
        (["--", ""], 2, "the command is missing"),
        (["--vs", "''", "--", "touch", "ran"], 2, "--vs"),
        (["--json", "x", "--csv", "x", "--", "touch", "ran"], 2, "both write to x"),
        (["--json", "-", "--csv", "-", "--", "touch", "ran"], 2, "both write to -"),
        *(([option, "1e30", "--", "touch", "ran"], 2, option) for option in ("--idle", "--rate")),
        *(([o, "9" * 22, "--", "touch", "ran"], 2, o) for o in ("--repeat", "--warmup")),
        (["--repeat", "-1", "--", "touch", "ran"], 2, "--repeat"),
        (["--repeat", "0", "--", "touch", "ran"], 2, "--repeat"),
        (["--warmup", "x", "--", "touch", "ran"], 2, "--warmup"),
        (["--idle", "-3", "--", "touch", "ran"], 2, "--idle"),
        (["--rate", "0", "--", "touch", "ran"], 2, "--rate"),
        (["--vs", "'", "--", "touch", "ran"], 2, "--vs"),
        (["--reapeat", "2", "--", "touch", "ran"], 2, "--repeat"),
        (["--meter", "rapll", "--", "touch", "ran"], 2, "rapl"),
        (["--witness", "nvlm", "--", "touch", "ran"], 2, "nvml"),
        (["--meter", "simulated", "--require-meter", "--", "touch", "ran"], 3, "made up"),
        (["--meter", "none", "--require-meter", "--", "touch", "ran"], 3, "measured"),
        (["--meter", "simulated+simulated", "--", "touch", "ran"], 2, "twice"),
        (["--out", "file", "--", "touch", "ran"], 9, "file"),
        (["--out", "file/below", "--", "touch", "ran"], 9, "file"),
        (["--json", "nowhere/x.json", "--", "touch", "ran"], 9, "nowhere"),
    ],
)
def test_bad_input_is_refused_before_the_command_starts(tmp_path, words, status, said):
    (tmp_path / "file").write_text("")
    found, _, err = measure(*words, cwd=tmp_path)
    assert (found, said in err) == (status, True), err
    assert "Traceback" not in err
    assert not (tmp_path / "ran").exists()


def test_a_name_that_is_no_text_is_spelt_out_and_its_command_measured(tmp_path):
    """A file name may be any bytes; a terminal, a table and JSON hold text."""
    name = b"caf\xe9".decode(errors="surrogateescape")
    words = ["--csv", "table.csv", "--out", "runs", *METER]
    status, _, err = measure(*words, "--", "sh", "-c", "exit 7", name, cwd=tmp_path)
    assert (status, "Traceback" in err) == (7, False)
    assert "caf\\udce9" in (tmp_path / "table.csv").read_text()
    (run,) = (tmp_path / "runs").glob("2*")
    assert "caf\\udce9" in (run / "cells.csv").read_text()


def test_what_was_typed_is_kept_as_a_shell_takes_it(tmp_path):
    measure("--out", "runs", "--meter", "none", "--", "sh", "-c", "exit 3", cwd=tmp_path)
    (run,) = (tmp_path / "runs").glob("2*")
    typed = json.loads((run / "manifest.json").read_text())["command"]
    assert shlex.split(typed)[-3:] == ["sh", "-c", "exit 3"]
    told = subprocess.run(
        [PYTHON, "-m", "harness.list", "runs", "--out", "runs"], cwd=tmp_path, text=True,
        capture_output=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    ).stdout  # fmt: skip
    assert f"measure again: {typed}" in told


def test_joules_of_no_sensor_are_never_called_measured(tmp_path):
    words = ["--out", "runs", *METER, "--vs", "sleep 0.3", "--", "sleep", "0.3"]
    _, _, err = measure(*words, cwd=tmp_path)
    assert "made up: simulated" in err
    assert "made up energy: `sleep 0.3`" in err
    assert "measured: simulated" not in err


def test_commands_take_turns_and_a_verdict_ends_it(tmp_path):
    log = tmp_path / "log"
    first = ["sh", "-c", f"echo a >> {log}; sleep 0.02"]
    other = f"sh -c 'echo b >> {log}; sleep 1'"
    words = ("--repeat", "3", "--vs", other, *METER, "--", *first)
    _, found, err = measured(*words, cwd=tmp_path)
    assert log.read_text().split() == ["a", "b"] * 3
    ratio = next(r for r in found["ratios"] if r["figure"] == "time_s")
    assert ratio["low"] <= ratio["ratio"] <= ratio["high"]
    assert ratio["low"] > 1.0
    assert "more, and not by chance" in err


def test_warm_up_and_preparation_run_and_are_not_measured(tmp_path):
    words = ("--repeat", "2", "--warmup", "1", "--prepare", "echo p >> log", "--meter", "none")
    _, found, _ = measured(*words, "--", "sh", "-c", "echo r >> log", cwd=tmp_path)
    assert (tmp_path / "log").read_text().split() == ["p", "r"] * 3
    assert len(found["runs"]) == 2


def test_phases_of_a_script_and_of_python_land_here(tmp_path):
    python = "from harness.measurement import phase; import time\nwith phase('py', samples=4): time.sleep(0.1)"  # noqa: E501
    line = (
        f"{PYTHON} -m harness.mark load; sleep 0.2; {PYTHON} -m harness.mark --end;"
        f" {PYTHON} -m harness.mark run -- sleep 0.1; {PYTHON} -c {shlex.quote(python)}"
    )
    words = (*METER, "--", "sh", "-c", line)
    _, found, _ = measured(*words, cwd=tmp_path)
    phases = {p["phase"]: p for p in found["runs"][0]["phases"]}
    assert set(phases) == {"load", "run", "py"}
    assert phases["py"]["energy_per_sample_j"] == pytest.approx(phases["py"]["energy_j"] / 4)
    for phase in phases.values():
        bound = phase["energy_error_j"]
        assert phase["energy_j"] == pytest.approx(10 * phase["time_s"], abs=bound)


def test_idle_power_gives_joules_above_idle(tmp_path):
    words = ("--idle", "0.3", *METER, "--", "sleep", "0.3")
    _, found, _ = measured(*words, cwd=tmp_path)
    assert found["energy_net_j"] == pytest.approx(0.0, abs=found["energy_net_error_j"])


def test_tables_are_written(tmp_path):
    words = (*METER, "--csv", "runs.csv", "--json", "found.json", "--repeat", "2")
    status, _, _ = measure(*words, "--", "sleep", "0.05", cwd=tmp_path)
    assert status == 0
    assert len((tmp_path / "runs.csv").read_text().splitlines()) == 3
    found = json.loads((tmp_path / "found.json").read_text())
    folder = tmp_path / found["run_folder"]
    assert {p.name for p in folder.iterdir()} >= {
        "manifest.json", "cells.csv", "phases.csv", "components.csv", "traces",
    }  # fmt: skip


def test_a_dead_collector_leaves_no_joules_and_says_so(tmp_path):
    """The command kills the process that reads the meter, as a machine short of memory may."""
    kill = (
        "import os, pathlib, signal\n"
        "for path in pathlib.Path('/proc').glob('[0-9]*/stat'):\n"
        "    words = path.read_text().rpartition(')')[2].split()\n"
        "    line = (path.parent / 'cmdline').read_bytes()\n"
        "    mine = int(path.parent.name) == os.getpid()  # its own text holds the name too\n"
        "    if not mine and int(words[1]) == os.getppid() and b'devices.collector' in line:\n"
        "        os.kill(int(path.parent.name), signal.SIGKILL)\n"
    )
    status, found, err = measured(*METER, "--", PYTHON, "-c", kill, cwd=tmp_path)
    assert status == 0
    assert found["energy_j"] is None
    assert "collector died" in found["energy_reason"]
    assert found["energy_model_j"] > 0
    assert "not measured" in err


def test_the_report_fits_80_columns(tmp_path):
    """Reasons, components and verdicts are long; file names cannot be broken."""
    words = ["--no-results", "--repeat", "2", "--vs", "sh -c 'sleep 0.02; true; true; true; true'"]
    for meter in ("none", "simulated", "auto"):
        _, _, err = measure(
            *words, "--meter", meter, "--", "sh", "-c", ": " + "word " * 30, cwd=tmp_path
        )
        assert max(map(len, err.splitlines())) <= 80, err


ON_A_CARD = """
import sys
from devices import card_watch
from harness.cli.measure import main
from tests.devices.fake_nvml import FakeGpu, make_nvml
module = make_nvml(FakeGpu(0, CurrentClocksEventReasons=0x44))
card_watch._binding = lambda _: module
sys.exit(main(sys.argv[1:]))
"""


def test_what_slows_a_card_disturbs_and_its_power_limit_is_noted(tmp_path):
    words = ["--json", "-", "--no-results", *METER, "--", "sleep", "0.1"]
    done = subprocess.run(
        [PYTHON, "-c", ON_A_CARD, *words], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
    )  # fmt: skip
    flags = {"gpu-hw-thermal-slowdown", "gpu-power-cap"}
    assert flags <= set(json.loads(done.stdout)["flags"])
    rows = dict(line.split(maxsplit=1) for line in done.stderr.splitlines() if "gpu-" in line)
    assert "gpu-hw-thermal-slowdown" in rows["disturbed"]
    assert rows["noted"] == "gpu-power-cap"


def test_it_starts_without_what_it_does_not_need(tmp_path):
    """Libraries of other meters and of packaging take longer to import than a sensor to read."""
    code = (
        "import sys; from harness.cli.measure import main\n"
        "main(['--no-results', '--meter', 'simulated', '--', 'true'])\n"
        "print([m for m in ('ssl', 'email', 'http.client', 'importlib.metadata',"
        " 'concurrent.futures', 'devices.meters.plug') if m in sys.modules])"
    )
    done = subprocess.run(
        [PYTHON, "-c", code], cwd=tmp_path, text=True, capture_output=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
