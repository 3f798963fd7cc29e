"""Whole fleets with Flower: the same numbers, faults in real processes, what is closed to whom."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from harness.fleet.flower_lines import flower_version
from tests.harness.fleet.rig import Rig, environment, rows, weights
from tests.waiting import LIMIT_S

pytestmark = [
    pytest.mark.skipif(not flower_version(), reason="Flower is not installed"),
    pytest.mark.timeout(3 * LIMIT_S),
]


@pytest.fixture
def rig(made, tmp_path):
    found = Rig(tmp_path, made.cache)
    try:
        yield found
    finally:
        found.stop()


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(value, other[file][name])
        for file, tensors in one.items()
        for name, value in tensors.items()
    )


def here(made, tmp_path, rounds):
    """Return the weights that one process learns from the same options."""
    config = made.config(tmp_path / "here", tasks="s", methods=("all-in-one",), rounds=rounds)
    return weights(made.run(config).path)


@pytest.mark.whole
def test_a_demo_learns_over_flower_what_one_process_learns(made, tmp_path) -> None:
    """Server, nodes, Flower and workers are processes of their own; all are gone at the end."""
    words = [
        "--nodes=2", "--tasks=s", "--methods=all-in-one", "--images=8", "--unseen-images=4",
        "--rounds=2", "--batch-size=2", "--evaluate-every=1", "--idle-s=0.2", "--threads=1",
        f"--cache={made.cache}", f"--out={tmp_path / 'out'}", f"--state={tmp_path / 'state'}",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "harness.fleet", "demo", *words], env=environment(), cwd=tmp_path,
        capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (tmp_path / "out").iterdir()
    assert equal(weights(run), here(made, tmp_path, 2))
    for word in ("demo-0", "demo-1", "round", "seen", "°C"):
        assert word in done.stdout
    assert {r["device"] for r in rows(run, "devices")} == {"demo-0", "demo-1"}
    assert '"insecure": true' in (run / "manifest.json").read_text()


@pytest.mark.fleet
def test_a_killed_node_costs_its_round_and_rejoins(rig, made, tmp_path) -> None:
    """kill -9 of the SuperNode in mid-round; node starts it anew, its worker keeps the joules."""
    rig.options |= {"rounds": 12}
    rig.server("--deadline=30")  # longer than a round on a machine that others load
    rig.node(0)
    rig.node(1)
    rig.wait_for("s round 2")
    os.kill(rig.child("n1", "flower-supernode"), signal.SIGKILL)
    assert rig.finish() == 0, rig.log()
    said = rig.log()
    assert "n1, round 3: missing" in said or "n1, round 4: missing" in said
    assert "n1 came back" in said
    used = [int(r["round"]) for r in rows(rig.run, "devices")
            if r["device"] == "n1" and r["phase"] == "train" and r["fate"] == "used"]  # fmt: skip
    assert max(used) == 11
    assert rows(rig.run, "cells")[0]["status"] == "done"


@pytest.mark.fleet
def test_a_killed_worker_is_prepared_again_under_its_living_node(rig) -> None:
    """kill -9 of the worker in mid-run: Flower's node stays, and its device trains on."""
    rig.options |= {"rounds": 12}
    rig.server("--deadline=60")
    rig.node(0)
    rig.node(1)
    rig.wait_for("s round 2")
    node = rig.child("n1", "flower-supernode")
    os.kill(rig.child("n1", "harness.fleet.worker"), signal.SIGKILL)
    assert rig.finish() == 0, rig.log()
    assert "the worker ended" in rig.log("n1")
    assert "n1 came back" in rig.log()
    assert rig.log("n1").count("node of 127.0.0.1") == 1, f"the node {node} was started anew"
    used = [int(r["round"]) for r in rows(rig.run, "devices")
            if r["device"] == "n1" and r["phase"] == "train" and r["fate"] == "used"]  # fmt: skip
    assert max(used) == 11
    cell = rows(rig.run, "cells")[0]
    assert cell["status"] == "done"
    assert cell["energy_j"] == ""  # what the killed worker had measured last is known to nobody


@pytest.mark.fleet
def test_a_killed_server_goes_on_after_its_last_round_with_the_same_numbers(
    rig, made, tmp_path
) -> None:
    """kill -9 of the server: nothing of it stays behind, and the same command ends the run."""
    rig.options |= {"rounds": 5}
    rig.server()
    rig.node(0)
    rig.node(1)
    rig.wait_for("s round 2")
    superlink = rig.child("server", "flower-superlink")
    rig.running["server"].kill()
    rig.running["server"].wait()
    end_s = time.monotonic() + 30
    while os.path.exists(f"/proc/{superlink}") and time.monotonic() < end_s:  # noqa: PTH110
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{superlink}")  # noqa: PTH110
    rig.server()
    assert rig.finish() == 0, rig.log()
    assert "going on after the last round" in rig.log()
    assert equal(weights(rig.run), here(made, tmp_path, 5))
    cell = rows(rig.run, "cells")[0]
    assert cell["interruptions"] == "1"
    rounds = {r["round"] for r in rows(rig.run, "devices")
              if r["phase"] == "train" and r["fate"] == "used"}  # fmt: skip
    assert rounds == {str(n) for n in range(5)}


@pytest.mark.fleet
def test_flowers_server_may_die_without_ending_the_run(rig) -> None:
    rig.options |= {"rounds": 6}
    rig.server("--deadline=60")
    rig.node(0)
    rig.node(1)
    rig.wait_for("s round 2")
    os.kill(rig.child("server", "flower-superlink"), signal.SIGKILL)
    assert rig.finish() == 0, rig.log()
    assert "it is started anew" in rig.log()
    assert rows(rig.run, "cells")[0]["status"] == "done"
    used = {int(r["round"]) for r in rows(rig.run, "devices") if r["fate"] == "used"}
    assert used == set(range(6))


@pytest.mark.fleet
def test_a_secured_fleet_lets_in_keys_it_knows_and_nobody_elses_commands(rig, tmp_path) -> None:
    """A node with an unknown key stays out; Flower's commands end at the reverse proxy."""
    rig.secure = True
    for words in (["--nodes", "n0,n1"], ["--nodes", "stranger", "--out", "other"]):
        subprocess.run(
            [sys.executable, "-m", "harness.fleet", "keys", "--server", "127.0.0.1", *words],
            cwd=tmp_path, env=environment(), check=True, timeout=LIMIT_S,
        )  # fmt: skip
    os.rename(tmp_path / "other" / "stranger", tmp_path / "keys" / "stranger")  # noqa: PTH104
    authority = (tmp_path / "keys" / "n0" / "authority.crt").read_bytes()
    (tmp_path / "keys" / "stranger" / "authority.crt").write_bytes(authority)
    rig.options |= {"rounds": 4}
    rig.server()
    rig.node(0)
    rig.node(1)
    rig.node(1, name="stranger")
    rig.wait_for("s round 1")
    home = tmp_path / "cli"
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "f"\n\n[superlink.f]\naddress = "127.0.0.1:{rig.port}"\n'
        f'root-certificates = "{tmp_path / "keys" / "n0" / "authority.crt"}"\n'
    )
    flwr = [os.path.join(os.path.dirname(sys.executable), "flwr"), "list", "f"]  # noqa: PTH118, PTH120
    asked = subprocess.run(
        flwr, env={**environment(), "FLWR_HOME": str(home), "FLWR_TELEMETRY_ENABLED": "0",
                   "FLWR_DISABLE_UPDATE_CHECK": "1"},
        capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert asked.returncode != 0
    rig.wait_for("did not let this node in", name="stranger")
    assert rig.finish() == 0, rig.log()
    assert {r["device"] for r in rows(rig.run, "devices")} == {"n0", "n1"}
    assert '"insecure": false' in (rig.run / "manifest.json").read_text()


@pytest.mark.fleet
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network of its own")
def test_a_lost_network_costs_rounds_but_no_run(rig) -> None:
    """Node 1 lives in a network namespace whose link is cut for a while."""
    ip = ["ip"]
    run = lambda *words: subprocess.run([*ip, *words], check=True, timeout=20)  # noqa: E731
    space, outer, inner = "fleet-test-1", "fleet-t0", "fleet-t1"
    run("netns", "add", space)
    try:
        run("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", space)
        run("addr", "add", "10.213.7.1/30", "dev", outer)
        run("link", "set", outer, "up")
        for words in (["addr", "add", "10.213.7.2/30", "dev", inner],
                      ["link", "set", inner, "up"], ["link", "set", "lo", "up"]):  # fmt: skip
            run("-n", space, *words)
        rig.prefix["n1"] = ["ip", "netns", "exec", space]
        rig.options |= {"rounds": 14}
        rig.server("--deadline=10", host="10.213.7.1")
        rig.node(0, host="10.213.7.1")
        rig.node(1, host="10.213.7.1")
        rig.wait_for("s round 2")
        run("link", "set", outer, "down")
        time.sleep(15)
        run("link", "set", outer, "up")
        assert rig.finish() == 0, rig.log()
    finally:
        rig.stop()
        run("netns", "del", space)
    assert "n1, round" in rig.log()
    own = [r for r in rows(rig.run, "devices") if r["device"] == "n1" and r["phase"] == "train"]
    assert max(int(r["round"]) for r in own if r["fate"] == "used") == 13
