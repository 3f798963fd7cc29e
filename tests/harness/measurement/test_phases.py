"""Check the marks on the clock: nesting, labels, work, and that an error still closes a phase."""

import pytest

from harness.federated.server import averaging
from harness.measurement.phases import PhaseLog
from harness.records.phases import Label
from harness.records.work import Work
from harness.workloads.multitask.work import evaluating, looking_ahead, training


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _log() -> tuple[PhaseLog, _Clock, _Clock]:
    clock, cpu = _Clock(), _Clock()
    return PhaseLog(clock, cpu), clock, cpu


def test_a_nested_phase_interrupts_the_outer_one() -> None:
    """Train 0-2, affinity 2-5, train 5-6: three segments that do not overlap and lose no time."""
    log, clock, cpu = _log()
    with log.phase(Label("train", "c", "sd", 3, 1)):
        clock.now, cpu.now = 2.0, 3.0
        log.work(training("sd", 4))
        with log.phase(Label("affinity", "c", "sd", 3, 1)):
            clock.now, cpu.now = 5.0, 8.0
            log.work(looking_ahead("sd", 4))
        clock.now, cpu.now = 6.0, 9.0

    assert [(s.label.phase, s.start_s, s.end_s, s.cpu_s) for s in log.segments] == [
        ("train", 0.0, 2.0, 3.0), ("affinity", 2.0, 5.0, 5.0), ("train", 5.0, 6.0, 1.0),
    ]  # fmt: skip
    assert [s.work.passes("encoder") for s in log.segments] == [4, 0, 0]


def test_an_error_closes_its_phases() -> None:
    """After an exception inside two phases both have ended and new ones can begin."""
    log, clock, _ = _log()

    def work() -> None:
        with log.phase(Label("train")):
            clock.now = 1.0
            with log.phase(Label("affinity")):
                clock.now = 2.0
                raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        work()

    assert log.current() is None
    assert [s.time_s for s in log.segments] == [1.0, 1.0, 0.0]


def test_work_adds_up_without_losing_parts() -> None:
    """Sums keep every part, counts and bytes; an empty work is neutral."""
    total = sum([training("s", 2), evaluating("sd", 3), averaging(100)], Work())

    assert total.forwards == {"encoder": 9.0, "s": 9.0, "d": 3.0}
    assert (total.passes("encoder"), total.passes("decoders"), total.bytes_moved) == (2, 2, 300.0)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_look_ahead_costs_what_its_definition_says(n: int) -> None:
    """By itself, n tasks: encoder 1 + n·(2 + 1), decoder 1 forward, 1 to its input, n tried."""
    tasks = "sdnkterca"[:n]
    work = looking_ahead(tasks, 1, shares=False).forwards

    assert work["encoder"] == 1 + 3 * n
    assert all(work[task] == 2 + n for task in tasks)
