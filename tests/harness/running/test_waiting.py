"""Threads of a parallel loop wait awake, and asleep as long as a team of sleepers is there.

What waits awake takes processor time, whatever other programs do.
"""

import json
import os
import subprocess
import sys

import pytest

from harness.running.waiting import MOST_SLEEPERS, sleeping_team

WAITING = """
import ctypes, json, os, re, time, torch
from harness.running.waiting import sleeping_team
torch.set_num_threads(2)
torch.ones(1 << 20).add_(1)
path = re.search(r"/\\S*/libgomp\\S*", open("/proc/self/maps").read()).group()
library = ctypes.CDLL(path)
main = os.getpid()

@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def uneven(_):
    if library.omp_get_thread_num() == 0:
        time.sleep(0.02)  # the other thread waits at the end of the loop meanwhile

def spent():
    for _ in range(2):
        library.GOMP_parallel(uneven, None, 2, 0)
    began = time.process_time()
    for _ in range(20):
        library.GOMP_parallel(uneven, None, 2, 0)
    return time.process_time() - began

team = sleeping_team(2)
found = [spent()]
team.start(); team.start()
found.append(spent())
team.stop()
found.append(spent())
print(json.dumps(found))
"""


def test_waiting_threads_sleep_while_asked_to_and_spin_again_later():
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", WAITING], env=environment, capture_output=True, text=True, check=True
    )
    awake, asleep, awake_again = json.loads(done.stdout)
    assert asleep < 0.5 * awake
    assert asleep < 0.5 * awake_again


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_whoever_chose_how_threads_wait_is_left_alone(name, tmp_path):
    assert sleeping_team(2, {name: "1"}) is None


def test_another_library_is_left_alone(tmp_path):
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 r-xp 00000000 00:00 0   /opt/intel/libiomp5.so\n")
    assert sleeping_team(2, {}, maps) is None


def test_no_crowd_of_sleepers_is_started(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: MOST_SLEEPERS + 1)
    assert sleeping_team(2, {}) is None
