"""A session's joules are those of known power, however phases lie in it."""

import asyncio
import csv
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.core.errors import HarnessError, MeterMissingError, UnknownNameError, UsageError
from harness.measurement import Measurement, measured, phase
from harness.measurement.meters import running_meters

SQUARE = "shape=square,low_w=2,high_w=11,period_s=0.4,duty=0.5"


def square_j(time_s: float) -> float:
    """Return the integral of 11 W and 2 W in turn, each for 0.2 s."""
    periods, rest_s = divmod(time_s, 0.4)
    return periods * 2.6 + 2.0 * rest_s + 9.0 * min(rest_s, 0.2)


@pytest.fixture
def ten_watts():
    with Measurement(meter="simulated:high_w=10", rate_hz=50) as session:
        yield session


@pytest.mark.parametrize("kind", ["counter", "sampled"])
def test_a_thousand_windows_lie_within_their_bound(tmp_path, kind):
    """Windows shorter than the 0.02 s between readings too: bounded, or without a figure."""
    with running_meters([f"simulated:kind={kind},{SQUARE}"], [], tmp_path, rate_hz=50) as meters:
        begun = time.monotonic()
        time.sleep(1.6)
        ended = time.monotonic()
        meters.wait_past(ended)
        draw = random.Random(4)
        found = []
        for _ in range(1000):
            start = draw.uniform(begun, ended)
            end = min(ended, start + 10 ** draw.uniform(-4, 0.2))
            joules = meters.joules([(start, end)])
            if joules.energy_j is None:
                assert joules.reason
                continue
            wrong = abs(joules.energy_j - (square_j(end) - square_j(start)))
            assert wrong <= joules.error_j + 1e-5
            found.append(end - start)
    assert len(found) > 300
    assert kind == "sampled" or min(found) < 0.001


def test_nested_phases_cover_each_other_and_add_up(ten_watts):
    with ten_watts.phase("outer"):
        for _ in range(2):
            with ten_watts.phase("inner", samples=5):
                time.sleep(0.06)
        time.sleep(0.06)
    ten_watts.__exit__(None, None, None)
    outer, inner = ten_watts.phases["outer"], ten_watts.phases["inner"]
    assert inner.entries == 2
    assert outer.time_s == pytest.approx(inner.time_s + 0.06, abs=0.05)
    for cost in (outer, inner, ten_watts.total):
        assert cost.energy_j == pytest.approx(10.0 * cost.time_s, abs=cost.error_j)
    assert inner.energy_per_sample_j == pytest.approx(inner.energy_j / 10)


def test_threads_at_once_are_counted_once(tmp_path):
    with Measurement(meter="simulated:high_w=10", rate_hz=50) as session:

        def work():
            with phase("work", samples=1):
                time.sleep(0.15)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    cost = session.phases["work"]
    assert (cost.entries, cost.samples) == (3, 3.0)
    assert 0.15 <= cost.time_s <= session.total.time_s
    assert cost.energy_j == pytest.approx(10.0 * cost.time_s, abs=cost.error_j)


def test_tasks_and_decorated_functions_are_right():
    @measured
    async def fetch(seconds):
        await asyncio.sleep(seconds)
        return seconds

    @measured("twice")
    def plain(x):
        return 2 * x

    async def both():
        return await asyncio.gather(fetch(0.05), fetch(0.1))

    with Measurement(meter="none") as session:
        assert asyncio.run(both()) == [0.05, 0.1]
        assert plain(3) == 6
    assert session.phases["fetch"].entries == 2
    assert 0.1 <= session.phases["fetch"].time_s <= session.total.time_s
    assert session.phases["twice"].entries == 1


def test_an_error_closes_its_phase_and_passes_on():
    with pytest.raises(KeyError), Measurement(meter="none") as session, session.phase("bad"):
        raise KeyError("x")
    assert session.phases["bad"].entries == 1
    assert session.phases["bad"].flags == ()


def test_without_a_meter_joules_are_modelled_and_labelled():
    with Measurement(meter="none") as session:
        time.sleep(0.01)
    assert session.total.energy_j is None
    assert "no meter was asked for" in session.total.reason


def test_a_phase_without_anybody_who_measures_does_nothing():
    with phase("nothing") as nothing:
        assert nothing.samples is None


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"meter": "simulatd"}, UnknownNameError),
        ({"meter": "simulated:shape=round"}, UsageError),
        ({"meter": "simulated", "require_meter": True}, MeterMissingError),
        ({"meter": "none", "require_meter": True}, MeterMissingError),
        ({"meter": "none", "witnesses": ["nvlm"]}, UnknownNameError),
        ({"meter": "simulated+simulated"}, UsageError),
        ({"meter": "auto+rapl"}, UsageError),
        ({"meter": "simulated", "rate_hz": -1.0}, UsageError),
    ],
)
def test_what_makes_no_sense_is_refused_at_the_start(settings, error):
    with pytest.raises(error), Measurement(**settings):
        pytest.fail("the body must not run")


def test_figures_are_there_only_afterwards():
    with Measurement(meter="none") as session, pytest.raises(UsageError):
        _ = session.total
    with pytest.raises(UsageError), session:
        pytest.fail("a session is not started twice")


def powercap(root: Path) -> Path:
    """Make a tree with one package and return its counter."""
    zone = root / "sys/class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    (zone / "max_energy_range_uj").write_text("262143328850\n")
    (zone / "energy_uj").write_text("0\n")
    return zone / "energy_uj"


def test_a_powercap_tree_played_in_real_time(tmp_path):
    """7 W written every 2 ms, as RAPL counts."""
    counter = powercap(tmp_path)
    over = threading.Event()
    begun = time.monotonic()

    def play():
        with counter.open("r+b", buffering=0) as stream:
            while not over.wait(0.002):
                stream.seek(0)
                stream.write(b"%020d\n" % int(7e6 * (time.monotonic() - begun)))

    player = threading.Thread(target=play)
    player.start()
    try:
        with Measurement(meter="rapl", root=tmp_path) as session:
            for _ in range(3):
                with session.phase("work"):
                    time.sleep(0.25)
    finally:
        over.set()
        player.join()
    for cost in (session.total, session.phases["work"]):
        assert cost.energy_j == pytest.approx(7.0 * cost.time_s, abs=cost.error_j)
    assert session.total.energy_j == pytest.approx(7.0 * session.total.time_s, rel=0.25)


class Player:
    """Play the square wave into a counter, and note how old its value was at most."""

    def __init__(self, counter: Path) -> None:
        self.begun = time.monotonic()
        self.stale_s = 0.0
        self._counter = counter
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._play)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _play(self) -> None:
        with self._counter.open("r+b", buffering=0) as stream:
            last_s = self.begun
            while not self._over.wait(0.001):
                now_s = time.monotonic()
                stream.seek(0)
                stream.write(b"%020d\n" % int(1e6 * square_j(now_s - self.begun)))
                self.stale_s = max(self.stale_s, time.monotonic() - last_s)
                last_s = now_s

    def energy_j(self, start_s: float, end_s: float) -> float:
        return square_j(end_s - self.begun) - square_j(start_s - self.begun)


def test_a_thousand_windows_of_a_powercap_tree(tmp_path):
    """A counter's value is as old as its last write: 11 W for that long at either edge."""
    counter = powercap(tmp_path)
    with (
        Player(counter) as player,
        running_meters(["rapl"], [], tmp_path / "samples", root=tmp_path) as meters,
    ):
        begun = time.monotonic()
        time.sleep(1.6)
        ended = time.monotonic()
        meters.wait_past(ended)
        draw = random.Random(5)
        found = 0
        for _ in range(1000):
            start = draw.uniform(begun, ended)
            end = min(ended, start + 10 ** draw.uniform(-4, 0.2))
            joules = meters.joules([(start, end)])
            if joules.energy_j is not None:
                wrong = abs(joules.energy_j - player.energy_j(start, end))
                assert wrong <= joules.error_j + 2 * 11.0 * player.stale_s + 1e-5
                found += 1
    assert found > 500


def test_a_thousand_nested_phases_lie_within_their_bound(tmp_path):
    """Most are far shorter than the 0.02 s between readings; each row of phases.csv is judged."""
    draw = random.Random(6)
    with Measurement(meter=f"simulated:{SQUARE}", rate_hz=50, out=tmp_path) as session:
        for _ in range(500):
            with session.phase("outer"):
                time.sleep(draw.uniform(0, 0.001))
                with session.phase("inner"):
                    time.sleep(draw.uniform(0, 0.002))
    manifest = json.loads((session.path / "manifest.json").read_text())
    zero_s = manifest["sessions"][0]["zero_s"]
    with (session.path / "phases.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    judged = 0
    for row in rows:
        if row["energy_j"]:
            start, end = (zero_s + float(row[name]) for name in ("start_s", "end_s"))
            wrong = abs(float(row["energy_j"]) - (square_j(end) - square_j(start)))
            assert wrong <= float(row["energy_error_j"]) + 1e-5
            judged += 1
    assert len(rows) == 1001
    assert judged > 500


def test_a_sum_with_a_silent_part_is_no_smaller_sum(tmp_path):
    """The processor's counter stands; the sum has no figure, the other component its own."""
    from harness.measurement.meters import Joules, added  # noqa: PLC0415

    whole = added([Joules(5.0, 0.1, "", ()), Joules(None, None, "rapl: it stands still", ())])
    assert (whole.energy_j, whole.reason) == (None, "rapl: it stands still")
    assert added([Joules(5.0, 0.1, ""), Joules(2.0, 0.2, "")]).energy_j == 7.0


def test_witnesses_are_recorded_and_not_added(tmp_path):
    with Measurement(
        meter="simulated:high_w=4", witnesses=["simulated:high_w=9"], rate_hz=50, out=tmp_path
    ) as session:
        time.sleep(0.2)
    assert session.total.energy_j == pytest.approx(
        4.0 * session.total.time_s, abs=session.total.error_j
    )
    rows = (session.path / "components.csv").read_text().splitlines()
    assert [row.split(",")[7] for row in rows[1:]] == ["total", "witness"]


def constant(folder: Path, power_w: float) -> Path:
    """Write a recording of constant power, long enough for any test."""
    path = folder / f"{power_w:g}.csv"
    rows = "".join(f"{n / 50},all,{power_w}\n" for n in range(1500))
    path.write_text(f"t_s,rail,power_w\n{rows}")
    return path


@pytest.fixture
def processor_and_gpu(tmp_path):
    """Return two meters of different parts, of 5 W and 7 W, joined by +."""
    parts = zip((constant(tmp_path, 5.0), constant(tmp_path, 7.0)), ("package", "gpu"), strict=True)
    return "+".join(f"replay:path={path},scope={scope}" for path, scope in parts)


def test_two_running_meters_add_up(processor_and_gpu, tmp_path):
    """5 W of one part and 7 W of the other, over phases and the whole."""
    with (
        Measurement(meter=processor_and_gpu, rate_hz=50, out=tmp_path / "results") as session,
        session.phase("work"),
    ):
        time.sleep(0.3)
    for cost in (session.total, session.phases["work"]):
        assert cost.energy_j == pytest.approx(12.0 * cost.time_s, rel=1e-6)
    rows = [
        row.split(",") for row in (session.path / "components.csv").read_text().splitlines()[1:]
    ]
    whole = {row[4]: float(row[8]) for row in rows if not row[3]}
    assert set(whole) == {"processor", "gpu"}
    assert whole["processor"] == pytest.approx(5.0 * session.total.time_s, rel=1e-6)
    assert sum(whole.values()) == pytest.approx(session.total.energy_j)


def test_a_meter_that_dies_empties_the_sum_and_itself_only(processor_and_gpu, tmp_path):
    """The other component keeps its joules: never a smaller sum."""
    texts = processor_and_gpu.split("+")
    with running_meters(texts, [], tmp_path / "samples", rate_hz=50) as meters:
        begun = time.monotonic()
        os.kill(meters.running[1].collector.process_id, signal.SIGKILL)
        time.sleep(0.3)
        window = [(begun, time.monotonic())]
        meters.wait_past(window[0][1])
        whole, parts = meters.joules(window), meters.components(window)
    assert whole.energy_j is None
    assert "died" in whole.reason
    assert parts[0].joules.energy_j == pytest.approx(5.0 * (window[0][1] - begun), rel=1e-6)
    assert parts[1].joules.energy_j is None


def test_phases_take_no_memory(tmp_path):
    """As many as an hour of five a second; none is lost."""
    code = (
        "import re, sys; from harness.measurement import Measurement\n"
        "def size():\n"
        "    return int(re.search(r'VmRSS:\\s*(\\d+)', open('/proc/self/status').read())[1])\n"
        "with Measurement(meter='none') as session:\n"
        "    for number in range(18200):\n"
        "        with session.phase('train', round=number, samples=3): pass\n"
        "        if number == 200: before = size()\n"
        "    grown = size() - before\n"
        "print(grown, session.phases['train'].entries, session.phases['train'].samples)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grown_kb, entries, samples = map(float, done.stdout.split())
    assert (entries, samples) == (18200, 3 * 18200)
    assert grown_kb < 500


def test_joules_above_idle_with_their_bound():
    """10 W at rest and at work: nothing is above idle."""
    with (
        Measurement(meter="simulated:high_w=10", rate_hz=50, idle_s=0.15) as session,
        session.phase("work"),
    ):
        time.sleep(0.2)
    assert session.idle.mean_w == pytest.approx(10.0, rel=1e-6)
    for cost in (session.total, session.phases["work"]):
        assert cost.net_j == pytest.approx(0.0, abs=1e-5)
        assert cost.net_error_j >= cost.error_j
    assert session.total.time_s < 0.3  # the rest is not in it


def test_without_rest_nothing_is_above_idle(ten_watts):
    ten_watts.__exit__(None, None, None)
    assert ten_watts.total.net_j is None


def test_a_late_phase_of_a_thread_is_no_write_to_another_file(tmp_path):
    """Its session is over; the descriptor may be another file by then."""
    with Measurement(meter="none") as session:
        late = session.phase("late")
        late.__enter__()
    with (tmp_path / "other").open("w"):
        late.__exit__(None, None, None)
    assert (tmp_path / "other").read_text() == ""
    assert session.phases["late"].flags == ("cut",)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HarnessError) as refused, Measurement(meter="none", out=tmp_path / "file"):
        pytest.fail("the body must not run")
    assert refused.value.exit_status == 9


def test_the_import_is_light():
    code = (
        "import sys, harness.measurement\n"
        "print([m for m in ('torch', 'numpy', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_sessions_that_begin_at_once_have_a_folder_each(tmp_path):
    """They choose their names under one lock, and none removes what another is making."""
    program = (
        "import sys; from harness.measurement import Measurement\n"
        "with Measurement('none', sys.argv[1]): pass"
    )
    begun = [subprocess.Popen([sys.executable, "-c", program, tmp_path]) for _ in range(6)]
    assert [process.wait(120) for process in begun] == [0] * 6
    assert len(list(tmp_path.glob("*/manifest.json"))) == 6
