"""Cores that others take are left, and taken again once they are free; threads wait asleep then."""

import math
import os

import pytest

from devices.core_use import CoreUse, Taken
from harness.running.core_sharing import CoreSharing, Sharing, next_sharing, sharing_cores

ALL = (0, 1, 2, 3)
AWAKE = Sharing(asleep=False, cores=ALL)


def on(*cores: int) -> Sharing:
    return Sharing(asleep=True, cores=cores)


@pytest.mark.parametrize(
    ("now", "busy", "own", "then"),
    [
        (AWAKE, (1, 1, 1, 1), 3.9, AWAKE),  # a tenth of a core is what any system does
        (AWAKE, (1, 1, 1, 1), 3.5, on(0, 1, 2)),  # one program, which got half a core so far
        (on(0, 1, 2), (1, 1, 1, 1), 3.0, on(0, 1, 2)),  # it has core 3 now
        (on(0, 1, 2), (1, 1, 1, 0.1), 3.0, AWAKE),  # it is gone
        (on(0, 1, 2), (1, 1, 1, 0.2), 3.0, on(0, 1, 2)),  # not quite: no coming and going
        (on(0, 1, 2), (1, 0.6, 0.6, 0.05), 1.2, on(1, 2, 3)),  # it is bound to one of ours
        (AWAKE, (1, 1, 1, 1), 1.9, on(0, 1)),  # two programs
        (on(0, 1, 2), (1, 1, 1, 1), 2.1, on(0, 1)),  # one more came
        (AWAKE, (1, 1, 1, 1), 0.4, Sharing(asleep=True, cores=ALL)),  # nothing is left to go to
    ],
)
def test_threads_stay_where_nobody_else_works(now, busy, own, then):
    assert next_sharing(now, ALL, Taken(dict(enumerate(busy)), own)) == then


def test_with_one_core_there_is_nowhere_to_go():
    assert next_sharing(Sharing(False, (0,)), (0,), Taken({0: 1.0}, 0.4)) == on(0)


class Team:
    """Say whether threads wait asleep."""

    asleep = False

    def start(self):
        self.asleep = True

    def stop(self):
        self.asleep = False


class Host:
    """Be two fair cores: this process wants all it is on, a busy program one, for a time."""

    def __init__(self, until_s: float) -> None:
        self._until_s = until_s
        self._now = CoreUse(0.0, {0: 0.0, 1: 0.0}, 0.0)
        self.cores = (0, 1)
        self.own = 0.0

    def look(self) -> CoreUse:
        at_work = self._now.time_s < self._until_s
        self.own = (1.5 if len(self.cores) == 2 else 1.0) if at_work else float(len(self.cores))
        busy = {core: 1.0 if at_work or core in self.cores else 0.0 for core in (0, 1)}
        self._now = CoreUse(
            self._now.time_s + 1.0,
            {core: s + busy[core] for core, s in self._now.busy_s.items()},
            self._now.own_s + self.own,
        )
        return self._now

    def stay_on(self, cores) -> None:
        self.cores = tuple(cores)


def test_a_run_leaves_one_core_and_comes_back():
    host, team = Host(until_s=5.0), Team()
    sharing = CoreSharing((0, 1), team, host.look, host.stay_on)
    widths = []
    for _ in range(9):
        sharing.tick()
        widths.append(len(host.cores))
        assert team.asleep == (len(host.cores) == 1)
    assert widths == [1] * 4 + [2] * 5  # one step after it came and one after it went
    sharing.end()
    assert (host.cores, team.asleep) == ((0, 1), False)


def test_a_host_that_tells_nothing_is_left_as_it_is():
    sharing = CoreSharing((0, 1), Team(), lambda: None, lambda cores: pytest.fail("bound"))
    sharing.tick()
    assert sharing.now == Sharing(asleep=False, cores=(0, 1))


def test_nothing_is_bound_afterwards():
    before = os.sched_getaffinity(0)
    with sharing_cores(2):
        pass
    assert os.sched_getaffinity(0) == before
    assert math.isfinite(sum(before))
