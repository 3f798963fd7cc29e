"""Go on with the run that was stopped, with no other, and with nothing that was damaged."""

import errno
import json
import os
import pickle
import shutil
import time
from functools import partial

import pytest

from harness.core.errors import BusyError, DamagedRunError, StorageError, UsageError
from harness.core.schema import SCHEMA_VERSION
from harness.federated.engine import RoundsEngine
from harness.measurement import conditions
from harness.run_folder import results
from harness.run_folder.lock import is_running, run_lock
from harness.run_folder.resume import Start
from harness.running.limits import Limits
from harness.workloads.multitask import draft
from harness.workloads.multitask.planning import training_setup
from tests.harness.run_folder.conftest import SilentScreen, learned, manifest, only, rows

AT_ONCE = Limits(time_s=1e-9)
"""A budget that is used up when the first round ends."""


def folders(out):
    return sorted(out.glob("[0-9]*"))


@pytest.fixture
def stopped(runner, tmp_path):
    """Return a folder of results with a run that stopped after its first round."""
    summary = runner.run(tmp_path, limits=AT_ONCE)
    assert summary.stopped == "budget"
    return tmp_path


def checkpoint(out, name):
    (path,) = only(out).glob(f"checkpoints/*.partial/{name}")
    return path


def test_a_budget_stops_at_a_rounds_end_and_nothing_is_trained_twice(
    runner, stopped, undisturbed
) -> None:
    """One round is kept; going on ends with the values of an undisturbed run."""
    folder = only(stopped)
    assert manifest(folder)["status"] == "interrupted"
    assert "--max-time" in manifest(folder)["reason"]
    assert len(checkpoint(stopped, "journal.jsonl").read_text().splitlines()) == 1
    screen = SilentScreen()

    summary = runner.run(stopped, screen=screen)

    assert screen.resumed
    assert summary.path == folder
    assert not summary.stopped
    assert learned(folder) == learned(undisturbed)
    first = min(rows(folder, "cells"), key=lambda row: row["interruptions"] == "0")
    assert (first["interruptions"], "resumed" in first["flags"]) == ("1", True)
    assert not [p for p in rows(folder, "phases") if p["phase"] == "lost"]


def test_what_constants_reach_is_read_once(runner, stopped, undisturbed, monkeypatch) -> None:
    """Going on takes it from the manifest; where that tells nothing of use it is found again."""
    folder = only(stopped)
    shutil.copytree(folder, stopped.parent / "copy" / folder.name)
    other = stopped.parent / "copy" / folder.name / "manifest.json"
    other.write_text(json.dumps(json.loads(other.read_text()) | {"constants": "none"}))
    runner.run(stopped.parent / "copy")
    assert learned(other.parent) == learned(undisturbed)

    monkeypatch.setattr(draft, "constant_predictor_losses", lambda *_: 1 / 0)
    runner.run(stopped)
    assert learned(folder) == learned(undisturbed)


def test_predicted_seconds_of_a_table_come_from_one_timing(runner, stopped, monkeypatch) -> None:
    """Going on takes the timing from the manifest: nothing is timed, every row is priced by it."""
    folder = only(stopped)
    told = manifest(folder)["calibration"]["forward_s"]
    monkeypatch.setattr(training_setup, "take_timing", lambda *_, **__: 1 / 0)

    runner.run(stopped)

    assert manifest(folder)["calibration"]["forward_s"] == told
    tasks = [part for part in told if part != "encoder"]
    for row in rows(folder, "cells"):
        encoder = 3 * int(row["encoder_passes"]) + float(row["look_ahead_encoder_forwards"])
        decoders = 3 * int(row["decoder_passes"]) + float(row["look_ahead_decoder_forwards"])
        mean_s = sum(told[task] for task in tasks) / len(tasks)  # every task passes as often
        expected = encoder * told["encoder"] + decoders * mean_s
        assert float(row["time_predicted_s"]) == pytest.approx(expected)


def test_a_budget_at_every_round_still_comes_to_the_same_end(runner, undisturbed, tmp_path) -> None:
    """Stopped after each of 1 + 2 · 2 rounds and then let finish, MAS ends as if undisturbed."""
    starts = 1
    while runner.run(tmp_path, limits=AT_ONCE, methods=("mas:splits=2",)).stopped:
        starts += 1
    assert starts == 5 + 1
    got, expected = learned(only(tmp_path)), learned(undisturbed)
    name = "mas-splits-2-s0-r0"
    assert got["values"] == [value for value in expected["values"] if name in value]
    assert got["files"] == {k: v for k, v in expected["files"].items() if name in k}


def test_energy_that_is_modelled_is_a_budget_too_and_says_so(runner, tmp_path) -> None:
    """Without a meter --max-energy counts modelled joules and names them."""
    summary = runner.run(tmp_path, limits=Limits(energy_j=1e-6))
    assert summary.stopped == "budget"
    assert "modelled" in summary.reason


def test_a_changed_configuration_starts_a_new_run_and_says_what_changed(runner, stopped) -> None:
    """The unfinished run stays as it is."""
    screen = SilentScreen()
    runner.run(stopped, screen=screen, rounds=2)
    assert sorted(manifest(f)["status"] for f in folders(stopped)) == ["done", "interrupted"]
    assert "--rounds 3 → 2" in screen.notes[0]


def test_fresh_starts_anew_and_a_finished_run_is_measured_again(runner, stopped) -> None:
    """--fresh leaves the unfinished run alone; a finished one is never gone on with."""
    runner.run(stopped, start=Start(fresh=True))
    time.sleep(1.1)  # names of runs have seconds
    runner.run(stopped)
    assert [manifest(f)["status"] for f in folders(stopped)] == ["interrupted", "done", "done"]


def test_a_run_can_be_named(runner, stopped, undisturbed) -> None:
    """--resume goes on with that run, and refuses another configuration or a finished run."""
    folder = only(stopped)
    with pytest.raises(UsageError, match="--rounds 3 → 2"):
        runner.run(stopped, start=Start(resume=folder), rounds=2)
    runner.run(stopped, start=Start(resume=folder))
    assert learned(folder) == learned(undisturbed)
    with pytest.raises(UsageError, match="it is done"):
        runner.run(stopped, start=Start(resume=folder))
    with pytest.raises(DamagedRunError, match="is no run"):
        runner.run(stopped, start=Start(resume=stopped))


def test_other_software_is_another_run(runner, stopped) -> None:
    """Weights of one version of PyTorch are not gone on with by another."""
    file = only(stopped) / "manifest.json"
    facts = json.loads(file.read_text())
    facts["identity"]["torch"] = "1.0"
    file.write_text(json.dumps(facts))
    screen = SilentScreen()
    runner.run(stopped, screen=screen, limits=AT_ONCE)
    assert len(folders(stopped)) == 2
    assert "torch 1.0" in screen.notes[0]


def test_two_at_once_are_refused_and_a_stale_lock_is_not(runner, stopped) -> None:
    """While a process holds the lock its number is named; without one the file is nothing."""
    folder = only(stopped)
    with run_lock(folder):
        assert is_running(folder)
        with pytest.raises(BusyError, match=rf"{folder.name} \(process {os.getpid()}\)"):
            runner.run(stopped)
        with pytest.raises(BusyError):  # another configuration would disturb it as much
            runner.run(stopped, rounds=2)
    (folder / "lock").write_text("4\n")
    assert not is_running(folder)
    runner.run(stopped)
    assert len(folders(stopped)) == 1
    assert not (folder / "lock").exists()


def test_a_torn_last_event_is_cut_off(runner, stopped, undisturbed) -> None:
    """What a power cut leaves of the line that was being written is forgiven."""
    log = only(stopped) / "events.jsonl"
    log.write_bytes(log.read_bytes() + b'{"t_s": 3.1, "eve')
    runner.run(stopped)
    assert learned(only(stopped)) == learned(undisturbed)
    for line in log.read_text().splitlines():
        json.loads(line)


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("events.jsonl", lambda text: text.replace('"event"', '"evnt"', 1), "line 1"),
        ("phases.csv", lambda text: text + "x,y\n", "has 2 fields, expected 15"),
        ("metrics.csv", lambda text: text.replace("metric", "metirc", 1), "line 1"),
        ("cells.csv", lambda text: text.replace("interrupted", 'interru"pted', 1), "cells.csv"),
        ("manifest.json", lambda text: text.replace('"zero_s"', '"nil_s"'), "zero_s"),
    ],
)
def test_other_damage_is_an_error_that_names_the_place(runner, stopped, name, damage, said) -> None:
    """Nothing is guessed: file and line are named, and the status is that of unreadable results."""
    file = only(stopped) / name
    file.write_text(damage(file.read_text()))
    with pytest.raises(DamagedRunError, match=name) as caught:
        runner.run(stopped)
    assert said in str(caught.value)
    assert caught.value.exit_status == 7
    assert "--fresh" in str(caught.value)


@pytest.mark.parametrize("name", ["journal.jsonl", "state-*.json", "weights-*.safetensors"])
def test_a_damaged_checkpoint_is_an_error_too(runner, stopped, name) -> None:
    """A flipped byte in the middle of any of its files is noticed."""
    file = checkpoint(stopped, name)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x80
    file.write_bytes(content)
    with pytest.raises(DamagedRunError, match=file.name):
        runner.run(stopped)


def test_a_strangers_pickle_is_never_run(runner, stopped, tmp_path) -> None:
    """A pickle in the place of weights, with a state that vouches for it, does nothing."""
    import hashlib  # noqa: PLC0415

    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(trap),))

    weights, state = (checkpoint(stopped, n) for n in ("weights-*.safetensors", "state-*.json"))
    old = hashlib.sha256(weights.read_bytes()).hexdigest()
    weights.write_bytes(pickle.dumps(Trap()))
    new = hashlib.sha256(weights.read_bytes()).hexdigest()
    state.write_text(state.read_text().replace(old, new))
    with pytest.raises(DamagedRunError, match=weights.name):
        runner.run(stopped)
    assert not trap.exists()


def test_a_disk_that_fills_up_in_mid_run_stops_it_and_it_goes_on_later(
    runner, undisturbed, tmp_path, monkeypatch
) -> None:
    """No cell is called failed; with space again the same command ends as if nothing had been."""
    plain, left = results._sync, [25]

    def full(stream) -> None:
        left[0] -= 1
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(stream)

    monkeypatch.setattr(results, "_sync", full)
    with pytest.raises(StorageError, match="free some space") as caught:
        runner.run(tmp_path)
    assert caught.value.exit_status == 9
    monkeypatch.undo()
    assert not any(row["status"] == "failed" for row in rows(only(tmp_path), "cells"))
    runner.run(tmp_path)
    assert learned(only(tmp_path)) == learned(undisturbed)


def test_a_wall_clock_that_jumps_by_hours_changes_no_time(runner, tmp_path, monkeypatch) -> None:
    """Times are those of the monotonic clock; the cell is flagged."""
    plain, round_ = time.time, RoundsEngine._round
    jumped = [0.0]

    def jump(*words):
        jumped[0] += 3 * 3600.0
        return round_(*words)

    monkeypatch.setattr(time, "time", lambda: plain() + jumped[0])
    monkeypatch.setattr(conditions, "HostClocks", partial(conditions.HostClocks, wall=time.time))
    monkeypatch.setattr(RoundsEngine, "_round", jump)
    began = time.monotonic()
    runner.run(tmp_path, methods=("independent",))
    passed_s = time.monotonic() - began

    (row,) = rows(only(tmp_path), "cells")
    assert "clock-step" in row["flags"].split("+")
    assert 0.0 < float(row["time_s"]) < passed_s


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (RuntimeError("can't allocate memory: you tried to allocate 1 TB"), "memory"),
        (MemoryError(), "memory"),
    ],
)
def test_a_cell_that_runs_out_of_memory_fails_and_others_go_on(
    runner, tmp_path, monkeypatch, failure, said
) -> None:
    """The first cell says why it failed; the second is done."""
    plain, calls = RoundsEngine._round, []

    def short(*words):
        calls.append(words)
        if len(calls) == 2:  # the first warms up
            raise failure
        return plain(*words)

    monkeypatch.setattr(RoundsEngine, "_round", short)
    summary = runner.run(tmp_path, order="fixed")
    assert [row["status"] for row in rows(only(tmp_path), "cells")] == ["failed", "done"]
    assert said in summary.failed[0]["reason"]
    assert manifest(only(tmp_path))["status"] == "done"
    assert not list(only(tmp_path).glob("checkpoints/*.partial"))


def test_a_run_says_what_it_is_from_its_first_moment(stopped) -> None:
    """Its manifest holds version, identity and configuration, so that it can be gone on with."""
    facts = manifest(only(stopped))
    assert facts["schema_version"] == SCHEMA_VERSION
    assert facts["identity"]["config"] == only(stopped).name.split("-")[-1]
    assert facts["config"]["rounds"] == 3
