"""Whole runs over real workers: the same numbers as here, and no fault that holds a run up."""

import csv
import gzip
import io
import itertools
import json
import math
import threading
import time

import pytest
import safetensors.torch
import torch
from rich.console import Console

from harness.cli import check
from harness.core.errors import FleetError, HarnessError, SeveralProblems, StepRefusedError
from harness.fleet.codec import encode_tensors
from harness.fleet.commands.server import read_words, run_over
from harness.fleet.status_screen import FleetScreen
from harness.fleet.wire import Frame
from tests.harness.fleet.conftest import Listening
from tests.harness.fleet.workers import WorkerProcess, WorkerSockets


def rows(folder, table):
    with (folder / f"{table}.csv").open() as stream:
        return list(csv.DictReader(stream))


def weights(folder):
    return {
        path.relative_to(folder): safetensors.torch.load_file(path)
        for path in sorted((folder / "checkpoints").rglob("*.safetensors"))
    }


@pytest.fixture(scope="module")
def pair(made, workers, tmp_path_factory):
    """The same run here and over two devices: folder of each, the fleet's transport and screen."""
    out = tmp_path_factory.mktemp("runs")
    here = made.run(made.config(out / "here"))
    transport, screen = WorkerSockets([w.socket for w in workers]), Listening()
    config = made.config(out / "there")
    fleet = made.fleet(transport, config, screen)
    fleet.gather()
    there = made.run(config, fleet, screen)
    return here.path, there.path, transport, screen


def test_a_fleet_learns_the_same_weights_to_the_last_bit(pair) -> None:
    """MAS: affinity decides the split on the way, so it must be the same to the last bit too."""
    here, there, _, _ = pair
    one, other = weights(here), weights(there)
    assert one.keys() == other.keys()
    assert len(one) == 2
    for file, tensors in one.items():
        assert all(torch.equal(value, other[file][name]) for name, value in tensors.items())


def test_velocities_come_back_from_devices_to_the_last_bit(made, workers, tmp_path) -> None:
    """Momentum that survives the round, and the split, and a server that steps: as here."""
    moving = {"server": "muon"}
    here = made.run(made.config(tmp_path / "here", **moving))
    transport = WorkerSockets([w.socket for w in workers])
    config = made.config(tmp_path / "there", **moving)
    fleet = made.fleet(transport, config, Listening())
    fleet.gather()
    one, other = weights(here.path), weights(made.run(config, fleet, Listening()).path)
    assert one.keys() == other.keys()
    for file, tensors in one.items():
        assert all(torch.equal(value, other[file][name]) for name, value in tensors.items())


def test_a_fleet_reports_the_same_losses_split_and_affinity(pair) -> None:
    here, there, _, _ = pair
    for table in ("metrics",):
        mine, theirs = (
            [(r["round"], r["job"], r["task"], r["metric"], r["value"]) for r in rows(f, table)]
            for f in (here, there)
        )
        assert mine == theirs
    assert rows(here, "cells")[0]["groups"] == rows(there, "cells")[0]["groups"]
    name = "mas-splits-2-s0-r0"
    for ending in (".csv", "_rounds.csv", "_clients.csv"):
        files = [folder / "affinity" / f"{name}{ending}" for folder in (here, there)]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_the_work_of_devices_is_counted_as_here(pair) -> None:
    here, there, _, _ = pair
    mine, theirs = rows(here, "cells")[0], rows(there, "cells")[0]
    for column in ("encoder_passes", "decoder_passes", "look_ahead_encoder_forwards",
                   "upload_bytes", "download_bytes"):  # fmt: skip
        assert mine[column] == theirs[column]


def test_each_device_accounts_for_all_of_its_time_without_overlap(pair) -> None:
    """Start-up, idle, communication and training add up to the whole, at 20 W as the meter says."""
    _, there, _, _ = pair
    found = rows(there, "devices")
    for device in ("x86-0", "x86-1"):
        own = sorted((r for r in found if r["device"] == device), key=lambda r: float(r["start_s"]))
        assert {r["phase"] for r in own} == {
            "start-up", "idle", "communicate", "train", "affinity",
        }  # fmt: skip
        for before, after in itertools.pairwise(own):
            gap_s = float(after["start_s"]) - float(before["end_s"])
            assert -1e-3 < gap_s < 0.05
        metered = [r for r in own if r["energy_j"]]
        assert len(metered) > len(own) / 2
        joules = math.fsum(float(r["energy_j"]) for r in metered)
        seconds = math.fsum(float(r["time_s"]) for r in metered)
        assert math.isclose(joules / seconds, 20.0, rel_tol=0.02)


def test_the_cell_is_charged_what_its_devices_measured_in_training(pair) -> None:
    _, there, _, _ = pair
    cell = rows(there, "cells")[0]
    charged = [r for r in rows(there, "devices")
               if r["cell"] == cell["cell"] and r["phase"] in ("train", "affinity")]  # fmt: skip
    assert math.isclose(float(cell["energy_j"]), math.fsum(float(r["energy_j"]) for r in charged))
    assert cell["energy_meter"] == "simulated"
    assert {r["fate"] for r in charged} == {"used"}


def test_check_finds_a_fleet_run_whole(pair, capsys) -> None:
    """Sums agree, the trace is there, nothing is damaged or missing."""
    _, there, _, _ = pair
    check.main([str(there)])
    said = capsys.readouterr().out
    assert "damaged" not in said
    assert "incomplete" not in said
    with gzip.open(there / "traces" / "mas-splits-2-s0-r0.csv.gz", "rt") as stream:
        rails = {row["rail"].split("/")[0] for row in csv.DictReader(stream)}
    assert rails == {"x86-0", "x86-1"}


def test_the_screen_shows_round_watts_and_joules_of_every_device(pair) -> None:
    _, _, _, screen = pair
    last = screen.states[-1]
    assert [row["device"] for row in last] == ["x86-0", "x86-1"]
    for row in last:
        assert row["round"] == 2
        assert math.isclose(row["watts"], 20.0, rel_tol=0.05)
        assert row["energy_j"] > 0
        assert row["heard_s"] is not None


def one_round(made, tmp_path, paths, interfere, **plan):
    """Run two rounds of one job over devices whose answers are tampered with."""
    screen = Listening()
    config = made.config(tmp_path, methods=("all-in-one",), tasks="s", rounds=2)
    fleet = made.fleet(WorkerSockets(paths, interfere), config, screen, **plan)
    fleet.gather()
    summary = made.run(config, fleet, screen)
    return summary, screen, rows(summary.path, "devices")


def spoilt_once(how):
    """Return what changes the first update of node 1 and lets all else pass."""
    left = [1]

    def interfere(node, request, answer):
        if node == 1 and request.kind == "train" and left:
            left.pop()
            return how(answer)
        return answer

    return interfere


def with_nan(answer: Frame) -> Frame:
    tensors = safetensors.torch.load(answer.body)
    name = next(n for n, t in tensors.items() if t.is_floating_point())
    tensors[name].view(-1)[0] = math.nan
    return Frame(answer.header, encode_tensors(tensors))


def with_shape(answer: Frame) -> Frame:
    tensors = safetensors.torch.load(answer.body)
    name = next(n for n, t in tensors.items() if t.dim() > 1)
    tensors[name] = tensors[name][:1]
    return Frame(answer.header, encode_tensors(tensors))


def with_protocol(answer: Frame) -> Frame:
    return Frame({**answer.header, "protocol": 99}, answer.body)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (with_nan, "not finite"),
        (with_shape, "not torch.float32"),
        (with_protocol, "protocol 99"),
        (lambda a: Frame(a.header, b"\x80\x04pickle"), "no safetensors"),
    ],
)
def test_an_update_that_cannot_be_used_is_refused_by_name(
    made, workers, tmp_path, how, words
) -> None:
    """Its joules still count, as the device did the work; the round is the other's alone."""
    summary, screen, found = one_round(
        made, tmp_path, [w.socket for w in workers], spoilt_once(how)
    )
    assert summary.rows[0]["status"] == "done"
    assert any("x86-1, round 1: refused" in n and words in n for n in screen.notes)
    assert "refused-device" in summary.rows[0]["flags"]
    fates = {(r["device"], r["round"]): r["fate"] for r in found if r["phase"] == "train"}
    assert fates == {("x86-0", "0"): "used", ("x86-1", "0"): "refused",
                     ("x86-0", "1"): "used", ("x86-1", "1"): "used"}  # fmt: skip
    assert summary.rows[0]["energy_j"] is not None


@pytest.mark.whole
def test_a_slow_node_closes_no_round_late_and_its_joules_are_billed(
    made, workers, tmp_path
) -> None:
    """Its first update comes after the deadline: the round is closed, the energy still counts."""

    def slow(answer: Frame) -> Frame:
        time.sleep(8.0)
        return answer

    summary, screen, found = one_round(
        made, tmp_path, [w.socket for w in workers], spoilt_once(slow), deadline_s=5.0
    )
    assert any("x86-1, round 1: missing, no answer within 5 s" in n for n in screen.notes)
    late = [r for r in found if r["device"] == "x86-1" and r["round"] == "0"
            and r["phase"] == "train"]  # fmt: skip
    assert [r["fate"] for r in late] == ["late"]
    assert float(late[0]["energy_j"]) > 0
    assert "late-device" in summary.rows[0]["flags"]
    assert summary.rows[0]["energy_j"] is not None


@pytest.mark.whole
def test_a_killed_worker_costs_its_round_and_comes_back(made, tmp_path) -> None:
    """kill -9 in mid-round: the other closes the round, the energy is unknown, it trains again."""
    own = [WorkerProcess(tmp_path, str(i), cache=made.cache) for i in range(2)]
    again: list[WorkerProcess] = []
    try:
        for worker in own:
            worker.wait_ready()
        transport = WorkerSockets([w.socket for w in own])

        def kill_then_return() -> None:
            own[1].kill()
            transport.gone.add(1)
            fresh = WorkerProcess(tmp_path, "1", cache=made.cache)
            again.append(fresh)
            fresh.wait_ready()
            transport.paths[2] = fresh.socket  # a node that begins anew has another number
            back.set()

        killed, back = threading.Event(), threading.Event()
        without = itertools.count()
        send = transport.send

        def send_and_kill(node, frame, keep_s):
            ticket = send(node, frame, keep_s)
            if node == 1 and frame.kind == "train" and not killed.is_set():
                killed.set()
                own[1].kill()
                threading.Thread(target=kill_then_return, daemon=True).start()
            elif killed.is_set() and frame.kind == "train" and next(without) == 5:
                back.wait(120.0)  # however long a worker takes to start, rounds are left for it
            return ticket

        transport.send = send_and_kill
        screen = Listening()
        config = made.config(tmp_path / "out", methods=("all-in-one",), tasks="s", rounds=12)
        fleet = made.fleet(transport, config, screen, deadline_s=150.0)
        fleet.gather()
        summary = made.run(config, fleet, screen)
    finally:
        for worker in (*own, *again):
            worker.kill()
    row = summary.rows[0]
    assert row["status"] == "done"
    assert row["energy_j"] is None
    assert "x86-1: round 0 of s unknown" in row["energy_reason"]
    assert "x86-1 came back" in " ".join(screen.notes)
    found = rows(summary.path, "devices")
    unknown = [r for r in found if r["fate"] == "missing" and r["device"] == "x86-1"]
    assert [(r["round"], r["energy_j"]) for r in unknown] == [("0", "")]
    used = [r for r in found if r["fate"] == "used" and r["device"] == "x86-1"]
    assert used


@pytest.mark.whole
def test_a_worker_started_anew_under_its_node_is_prepared_again(made, tmp_path) -> None:
    """The node keeps its number; the only device of the run trains on after one lost round."""
    worker = WorkerProcess(tmp_path, "0-1", cache=made.cache)
    again: list[WorkerProcess] = []
    try:
        worker.wait_ready()
        transport = WorkerSockets([worker.socket])
        send = transport.send
        trained = []

        def send_and_restart(node, frame, keep_s):
            if frame.kind == "train":
                trained.append(node)
                if len(trained) == 3:
                    worker.kill()
                    again.append(WorkerProcess(tmp_path, "0-1", cache=made.cache))
                    transport.paths[0] = again[0].wait_ready().socket
            return send(node, frame, keep_s)

        transport.send = send_and_restart
        screen = Listening()
        config = made.config(tmp_path / "out", methods=("all-in-one",), tasks="s", rounds=3)
        fleet = made.fleet(transport, config, screen)
        fleet.gather()
        summary = made.run(config, fleet, screen)
    finally:
        for one in (worker, *again):
            one.kill()
    assert summary.rows[0]["status"] == "done"
    assert "was started anew" in " ".join(screen.notes)
    kinds = [frame.kind for _, frame in transport.sent]
    assert kinds[:2] == ["hello", "prepare"]
    assert kinds.count("hello") == kinds.count("prepare") == 2
    assert len([r for r in rows(summary.path, "devices") if r["fate"] == "used"]) >= 4


def test_a_worker_that_cannot_be_reached_is_asked_again_and_costs_no_cell(
    made, workers, tmp_path
) -> None:
    """Twice the way to one of two workers fails at once; it is asked who it is, and goes on."""
    left = [2]

    def interfere(node, request, answer):
        if node == 1 and begun.is_set() and request.kind in ("train", "hello") and left[0]:
            left[0] -= 1
            return Frame({"kind": "failed", "message": "no such socket"})
        return answer

    begun = threading.Event()
    transport, screen = WorkerSockets([w.socket for w in workers], interfere), Listening()
    config = made.config(tmp_path, methods=("all-in-one",), tasks="s", rounds=3)
    fleet = made.fleet(transport, config, screen)
    fleet.gather()
    begun.set()
    summary = made.run(config, fleet, screen)
    assert summary.rows[0]["status"] == "done"
    found = [r for r in rows(summary.path, "devices") if r["phase"] == "train"]
    assert {r["fate"] for r in found} <= {"used", "missing"}
    assert [r["round"] for r in found if r["device"] == "x86-1" and r["fate"] == "used"]


def test_a_node_that_is_refused_at_once_is_not_waited_for(made, workers, tmp_path) -> None:
    """Before round 1 the reason ends the start, however long --join-wait is."""

    def interfere(node, request, answer):
        if node == 1 and request.kind == "hello":
            del answer.header["partition"]
        return answer

    transport = WorkerSockets([w.socket for w in workers], interfere)
    fleet = made.fleet(transport, made.config(tmp_path), join_s=600.0)
    began_s = time.monotonic()
    with pytest.raises(HarnessError, match="node 1 is refused"):
        fleet.gather()
    assert time.monotonic() - began_s < 300.0


def test_a_lost_answer_loses_no_joules(made, workers, tmp_path) -> None:
    """The network drops an answer; the worker reports the same stretch with its next one."""
    summary, _, found = one_round(
        made, tmp_path, [w.socket for w in workers], dropped_reporting_later(), deadline_s=3.0
    )
    own = [r for r in found if r["device"] == "x86-1" and r["phase"] == "train"]
    assert [r["round"] for r in own] == ["0", "1"]
    assert all(float(r["energy_j"]) > 0 for r in own)
    assert summary.rows[0]["energy_j"] is not None


def dropped_reporting_later():
    """Return what turns the first update of node 1 into the error that Flower gives."""
    return spoilt_once(lambda _answer: Frame({"kind": "failed", "message": "lost on the way"}))


def test_a_device_that_comes_late_trains_from_then_on(made, workers, tmp_path) -> None:
    """With --begin-with 1 a run begins with one device; the other's client is missing till then."""
    transport, screen = WorkerSockets([w.socket for w in workers]), Listening()
    transport.gone.add(1)
    send = transport.send
    trained = []

    def send_and_admit(node, frame, keep_s):
        if frame.kind == "train":
            trained.append(node)
            if len(trained) == 2:
                transport.gone.clear()
        return send(node, frame, keep_s)

    transport.send = send_and_admit
    config = made.config(tmp_path, methods=("all-in-one",), tasks="s", rounds=4)
    fleet = made.fleet(transport, config, screen, begin_with=1)
    fleet.gather()
    summary = made.run(config, fleet, screen)

    assert summary.rows[0]["status"] == "done"
    assert trained[:2] == [0, 0]
    assert 1 in trained
    assert any("client 1, round 1: missing, no device holds its data" in n for n in screen.notes)


def test_two_nodes_with_one_partition_are_said_before_round_1(made, workers, tmp_path) -> None:
    twin = WorkerProcess(tmp_path, "1", cache=made.cache, name="twin").wait_ready()
    try:
        paths = [workers[0].socket, workers[1].socket, twin.socket]
        fleet = made.fleet(WorkerSockets(paths), made.config(tmp_path), join_s=20.0)
        with pytest.raises((FleetError, SeveralProblems), match="both hold client 1"):
            fleet.gather()
    finally:
        twin.kill()


def test_a_client_without_device_is_said_with_what_to_type(made, workers, tmp_path) -> None:
    fleet = made.fleet(WorkerSockets([workers[0].socket]), made.config(tmp_path), join_s=1.0)
    with pytest.raises((FleetError, SeveralProblems)) as caught:
        fleet.gather()
    assert "no device holds the data of client 1" in str(caught.value)
    assert "--partition 1" in str(caught.value)


def test_a_node_without_the_data_is_said_before_round_1(made, workers, tmp_path) -> None:
    """Its data set is a folder that is not there: the device says so, with its name."""
    config = made.config(tmp_path)
    fleet = made.fleet(WorkerSockets([w.socket for w in workers]), config, join_s=20.0)
    fleet._settings = fleet._settings.__class__(
        {**fleet._settings.config, "data": "/nowhere/store"},
        2,
        fleet._settings.data,
        {},
        join_s=20.0,
    )
    with pytest.raises((FleetError, SeveralProblems), match=r"x86-[01] is not ready: .*nowhere"):
        fleet.gather()


def test_other_versions_are_said_before_round_1_unless_allowed(made, workers, tmp_path) -> None:
    paths = [w.socket for w in workers]
    other = {"torch": "1.0", "schema": 999}
    fleet = made.fleet(WorkerSockets(paths), made.config(tmp_path), versions=other)
    with pytest.raises((FleetError, SeveralProblems), match=r"torch .* \(server: 1.0\)"):
        fleet.gather()
    made.fleet(WorkerSockets(paths), made.config(tmp_path), versions=other, mixed=True).gather()


def test_batches_of_the_profile_change_results_and_are_recorded(
    made, workers, pair, tmp_path
) -> None:
    """The x86 profile trains in larger batches than 2, so other weights come out."""
    here, _, _, _ = pair
    config = made.config(tmp_path)
    fleet = made.fleet(WorkerSockets([w.socket for w in workers]), config, batch_from_profile=True)
    fleet.gather()
    summary = made.run(config, fleet)
    facts = json.loads((summary.path / "manifest.json").read_text())["fleet"]
    assert facts["batch_from_profile"] is True
    assert [d["profile_batch"] for d in facts["devices"]] == [64, 64]
    mine, theirs = weights(here), weights(summary.path)
    assert (
        any(
            not torch.equal(value, theirs[file][name])
            for file, tensors in mine.items()
            if file in theirs
            for name, value in tensors.items()
        )
        or mine.keys() != theirs.keys()
    )


@pytest.mark.whole
def test_a_round_waits_for_a_device_rather_than_pass_without_one(made, workers, tmp_path) -> None:
    """All devices are away when round 1 begins and come back: no round is spent on nobody."""
    transport, screen = WorkerSockets([w.socket for w in workers]), Listening()
    config = made.config(tmp_path, methods=("all-in-one",), tasks="s", rounds=2)
    fleet = made.fleet(transport, config, screen, deadline_s=30.0)
    fleet.gather()
    transport.gone |= {0, 1}
    threading.Timer(3.0, transport.gone.clear).start()
    summary = made.run(config, fleet, screen)
    assert summary.rows[0]["status"] == "done"
    used = [r for r in rows(summary.path, "devices") if r["fate"] == "used"]
    assert {(r["round"], r["device"]) for r in used} == {
        (n, d) for n in ("0", "1") for d in ("x86-0", "x86-1")
    }


def test_a_run_without_devices_stops_and_can_go_on(made, workers, tmp_path) -> None:
    transport, screen = WorkerSockets([w.socket for w in workers]), Listening()
    config = made.config(tmp_path, methods=("all-in-one",), tasks="s", rounds=2)
    fleet = made.fleet(transport, config, screen, deadline_s=0.5)
    fleet.gather()
    transport.gone |= {0, 1}
    summary = made.run(config, fleet, screen)
    assert summary.stopped == "budget"  # nobody has interrupted it
    assert "had no device" in summary.reason
    assert summary.rows[0]["status"] == "interrupted"
    assert "had no device" in summary.rows[0]["reason"]
    transport.gone.clear()
    again = made.fleet(transport, config, screen)
    again.gather()
    assert made.run(config, again, screen).rows[0]["status"] == "done"


def test_a_cell_whose_every_update_is_refused_fails_with_the_reasons(
    made, workers, tmp_path
) -> None:
    def interfere(_node, request, answer):
        return with_nan(answer) if request.kind == "train" else answer

    config = made.config(tmp_path, methods=("all-in-one",), tasks="s", rounds=2)
    fleet = made.fleet(WorkerSockets([w.socket for w in workers], interfere), config)
    fleet.gather()
    row = made.run(config, fleet).rows[0]
    assert row["status"] == "failed"
    assert "x86-0" in row["reason"]
    assert "not finite" in row["reason"]


# ways of executing steps

FAST = "contiguous+fused"


@pytest.fixture(scope="module")
def faulty(made, tmp_path_factory):
    """A device with client 1 whose kernels are wrong in that way."""
    folder = tmp_path_factory.mktemp("faulty")
    program = "tests.harness.fleet.faulty_worker"
    one = WorkerProcess(folder, "1", cache=made.cache, program=program)
    try:
        yield one.wait_ready()
    finally:
        one.kill()


def steps_of(folder):
    """Return by device what the manifest says: networks compared with their faults, refusals."""
    told = json.loads((folder / "manifest.json").read_text())["fleet"]["devices"]
    return {
        d["device"]: ({s["network"]: s["fault"] for s in d["steps"]}, d["refused"]) for d in told
    }


ONCE = {"methods": ("independent",), "rounds": 1, "step": FAST}


def test_every_device_compares_a_way_before_it_trains_so(made, workers, tmp_path) -> None:
    """The network of d is new in round 1; the time of comparing is no cell's."""
    config, screen = made.config(tmp_path, **ONCE), Listening()
    fleet = made.fleet(WorkerSockets([w.socket for w in workers]), config, screen)
    fleet.gather()
    passed = "steps compute there what plain fp32 does (networks sd, s; smallest cosine "
    assert [n.split(":")[0] for n in screen.notes if passed in n] == ["x86-0", "x86-1"]
    there = made.run(config, fleet, screen)
    assert there.rows[0]["status"] == "done"
    passes = {"sd": "", "s": "", "d": ""}
    assert steps_of(there.path) == {"x86-0": (passes, ""), "x86-1": (passes, "")}
    begun = [r for r in rows(there.path, "devices") if r["phase"] == "start-up" and not r["cell"]]
    assert len([r for r in begun if r["device"] == "x86-0"]) >= 2


@pytest.mark.whole
def test_other_ways_too_learn_the_same_weights_to_the_last_bit(made, workers, tmp_path) -> None:
    here = made.run(made.config(tmp_path / "here", **ONCE))
    config = made.config(tmp_path / "there", **ONCE)
    fleet = made.fleet(WorkerSockets([w.socket for w in workers]), config)
    fleet.gather()
    one, other = weights(here.path), weights(made.run(config, fleet).path)
    assert one.keys() == other.keys()
    for file, tensors in one.items():
        assert all(torch.equal(value, other[file][name]) for name, value in tensors.items())


@pytest.mark.whole
def test_a_device_that_computes_something_else_ends_the_start_by_name(
    made, workers, faulty, tmp_path
) -> None:
    transport = WorkerSockets([workers[0].socket, faulty.socket])
    fleet = made.fleet(transport, made.config(tmp_path, step=FAST))
    with pytest.raises((StepRefusedError, SeveralProblems)) as caught:
        fleet.gather()
    said = caught.value.shown()
    assert "x86-1 is not ready: fp32, contiguous, fused steps of sd on the processor" in said
    assert "(loss of s: " in said
    assert "[step-refused]" in said
    assert "--step plain" in said
    assert all(frame.kind != "train" for _, frame in transport.sent)


@pytest.mark.whole
def test_one_that_comes_late_is_not_let_in_and_the_record_says_why(
    made, workers, faulty, tmp_path
) -> None:
    """The first round is answered when the other has come and has been prepared."""
    prepared = threading.Event()
    trained = []

    def interfere(node, request, answer):
        if request.kind == "prepare" and node == 1:
            prepared.set()
        if request.kind == "train":
            trained.append(node)
            transport.gone.clear()
            if len(trained) == 2:
                prepared.wait(60.0)
        return answer

    transport = WorkerSockets([workers[0].socket, faulty.socket], interfere)
    transport.gone.add(1)
    screen = Listening()
    config = made.config(tmp_path, methods=("all-in-one",), tasks="sd", rounds=5, step=FAST)
    fleet = made.fleet(transport, config, screen, begin_with=1)
    fleet.gather()
    summary = made.run(config, fleet, screen)
    assert set(trained) == {0}
    assert "missing-device" in summary.rows[0]["flags"]
    assert any("x86-1 cannot take part: fp32, contiguous" in note for note in screen.notes)
    found = steps_of(summary.path)
    assert found["x86-0"] == ({"sd": "", "s": ""}, "")
    assert "instead of" in found["x86-1"][0]["sd"]
    assert "compute something else than plain fp32" in found["x86-1"][1]


def test_a_refusal_while_preparing_ends_the_start_with_its_code(made, workers, tmp_path) -> None:
    def interfere(node, request, answer):
        told = {"kind": "failed", "code": "step-refused", "message": "fused steps compute ...",
                "remedy": "Train with --step plain."}  # fmt: skip
        refusing = node == 1 and request.kind == "prepare"
        return Frame({**answer.header, **told}) if refusing else answer

    transport = WorkerSockets([w.socket for w in workers], interfere)
    fleet = made.fleet(transport, made.config(tmp_path))
    with pytest.raises((StepRefusedError, SeveralProblems)) as caught:
        fleet.gather()
    assert "x86-1 is not ready: fused steps compute ... [step-refused]" in caught.value.shown()
    assert "--step plain" in caught.value.shown()


def test_every_device_without_memory_for_the_batch_names_the_one_that_would_fit(
    made, workers, tmp_path
) -> None:
    """One answers at once, the other later: both are named, as one batch is for all."""

    def interfere(node, request, answer):
        if request.kind != "prepare":
            return answer
        time.sleep(0.3 * node)
        told = {"kind": "failed", "code": "memory", "message": f"batches of {2 + node} would fit",
                "remedy": f"Give the server --batch-size {2 + node}."}  # fmt: skip
        return Frame({**answer.header, **told})

    transport = WorkerSockets([w.socket for w in workers], interfere)
    with pytest.raises(SeveralProblems) as caught:
        made.fleet(transport, made.config(tmp_path)).gather()
    said = caught.value.shown()
    for node in range(2):
        assert f"x86-{node} is not ready: batches of {2 + node} would fit [memory]" in said
        assert f"--batch-size {2 + node}" in said


def test_a_lost_gpu_costs_its_round_and_its_device_does_not_go_on_without_it(
    made, workers, tmp_path
) -> None:
    """The worker answers that CUDA failed; the next one, with a processor alone, is refused."""
    lost = threading.Event()
    card = {"accelerator": {"name": "gpu", "gpu": "Orin", "why": "asked for"}}
    gone = {"accelerator": {"name": "cpu", "why": "the GPU cannot train: no CUDA-capable device"}}

    def interfere(node, request, answer):
        if node == 1 and request.kind == "hello":
            more = {**gone, "session": "f00"} if lost.is_set() else card
            return Frame({**answer.header, **more})
        if node == 1 and request.kind == "train":
            lost.set()
            told = {"kind": "failed", "code": "gpu-lost", "message": "the GPU failed: device lost"}
            return Frame({**answer.header, **told})
        return answer

    config, screen = made.config(tmp_path, methods=("all-in-one",), tasks="s"), Listening()
    fleet = made.fleet(WorkerSockets([w.socket for w in workers], interfere), config, screen)
    fleet.gather()
    summary = made.run(config, fleet, screen)
    assert summary.rows[0]["status"] == "done"
    assert "missing-device" in summary.rows[0]["flags"]
    said = "\n".join(screen.notes)
    assert "x86-1, round 1: missing, the GPU failed: device lost [gpu-lost]" in said
    assert "x86-1 cannot take part: its Orin has trained so far, and now its processor" in said
    told = json.loads((summary.path / "manifest.json").read_text())["fleet"]["devices"]
    assert "now its processor would: the GPU cannot train" in told[1]["refused"]
    assert told[0]["accelerator"]["name"] == "cpu"
    assert told[0]["prepared"]["own_way"]["batch"]["taken"] == 2


def test_a_way_that_every_device_refuses_in_mid_run_fails_the_cell_with_its_code(
    made, workers, tmp_path
) -> None:
    def interfere(_node, request, answer):
        told = {"kind": "failed", "code": "step-refused", "message": "fused steps of s compute ..."}
        return Frame({**answer.header, **told}) if request.kind == "train" else answer

    config, screen = made.config(tmp_path, methods=("all-in-one",), tasks="s"), Listening()
    transport = WorkerSockets([w.socket for w in workers], interfere)
    fleet = made.fleet(transport, config, screen)
    fleet.gather()
    row = made.run(config, fleet, screen).rows[0]
    assert any("x86-1, round 1: refused, fused steps of s" in note for note in screen.notes)
    assert row["status"] == "failed"
    assert row["reason"].endswith("[step-refused]")


def test_a_server_that_lacks_a_way_leaves_it_to_the_devices(made, workers, tmp_path) -> None:
    """It has no GPU and trains nothing; its devices, which have none either, refuse by name."""
    words = [f"--out={tmp_path}", f"--cache={made.cache}", "--step=tf32", "--tasks=s",
             "--clients=2", "--clients-per-round=2", "--images=8", "--unseen-buildings=1",
             "--unseen-images=4",
             "--size=32", "--batch-size=2", "--idle-s=0.2", "--threads=1", "--insecure",
             "--methods=all-in-one", "--rounds=1"]  # fmt: skip
    config, options = read_words(words)
    said = io.StringIO()
    screen = FleetScreen(Console(file=said, width=80), config, tmp_path)
    transport = WorkerSockets([w.socket for w in workers])
    with pytest.raises((StepRefusedError, SeveralProblems)) as caught:
        run_over(transport, config, options, screen)
    assert "Every device compares this with plain fp32 itself" in " ".join(said.getvalue().split())
    told = caught.value.shown()
    assert "cannot be executed: tf32 and graph are for a GPU" in told
    assert "is not ready: tf32, channels-last, loop steps of s on the processor" in told
    assert not list(tmp_path.glob("*/manifest.json"))
