"""Foreign logs: columns and units as their writers chose them, and what is wrong with them."""

import pytest

from devices.errors import DeviceError
from devices.meters.registry import make_meter
from devices.meters.replay_log import LogColumns, read_log


def replayed(path, clock, **options):
    """Return the watts that a replay shows at 0 s, 0.5 s and 1 s."""
    text = ",".join(f"{key}={value}" for key, value in {"file": path, **options}.items())
    meter = make_meter(f"replay:{text}", clock=clock)
    meter.open()
    found = []
    for _ in range(3):
        found.append(meter.read()[0].value)
        clock.sleep(0.5)
    assert meter.describe().kind == "sampled"
    meter.close()
    return found


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("t,w\n0,4\n1,6\n", {"time": "t", "power": "w"}),
        ("t,w\n0,4000\n1,6000\n", {"time": "t", "power": "w", "unit": "mW"}),
        ("ms;mW\n5000;4000\n6000;6000\n",
         {"time": "ms", "time_unit": "ms", "power": "mW", "unit": "mW"}),
        ("Zeit;Leistung\n0,0;4,0\n1,0;6,0\n", {"time": "Zeit", "power": "Leistung"}),
        ("a\tVolt\tAmp\n0\t2\t2\n1\t3\t2\n", {"time": "a", "volts": "Volt", "amps": "Amp"}),
        ("# tester 3\n\nt,V,mA\n0,2,2000\n1,3,2000\n",
         {"time": "t", "volts": "V", "amps": "mA", "unit": "mW"}),
        ("\ufefftime,w\n2026-05-01 23:59:59.5,4\n2026-05-02T00:00:00.5,6\n",
         {"time": "time", "power": "w"}),
        ("time,w\n10:59:59.5,4\n11:00:00.5,6\n\n", {"time": "TIME", "power": "W"}),
        ("time;w\n10:59:59,5;4.0\n11:00:00,5;6.0\n", {"time": "time", "power": "w"}),
        ('t,mW\n0.0,"4,000"\n1.0,"6,000"\n', {"time": "t", "power": "mW", "unit": "mW"}),
        ('t,uW\n0,"4,000,000"\n1,"6,000,000"\n', {"time": "t", "power": "uW", "unit": "uW"}),
        ("t;mW\n0;4.000,0\n1;6.000\n", {"time": "t", "power": "mW", "unit": "mW"}),
        ("t;V;A\n0;4,000;1,0\n1;6,000;1,0\n", {"time": "t", "volts": "V", "amps": "A"}),
        ("t;w\n0;4,000\n1;6,000\n", {"time": "t", "power": "w", "decimal": "comma"}),
        ("t;mW\n0;4,000\n1;6,000\n",
         {"time": "t", "power": "mW", "unit": "mW", "decimal": "point"}),
        ("t;w\n0;4.000\n1;6.000\n", {"time": "t", "power": "w"}),
    ],
)  # fmt: skip
def test_watts_of_any_log_are_interpolated(tmp_path, clock, text, options):
    """4 W at its first line and 6 W a second later, in many ways."""
    path = tmp_path / "log.csv"
    path.write_text(text, encoding="utf-8")
    assert replayed(path, clock, **options) == pytest.approx([4.0, 5.0, 6.0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"time": "t"}, "names of its columns"),
        ({"power": "w"}, "names of its columns"),
        ({"time": "t", "power": "w", "volts": "w", "amps": "w"}, "names of its columns"),
        ({"time": "t", "volts": "w"}, "names of its columns"),
        ({"time": "t", "power": "w", "unit": "VA"}, "'VA' is no unit"),
        ({"time": "t", "power": "w", "time_unit": "h"}, "'h' is no unit"),
        ({"time": "t", "power": "w", "decimal": "dot"}, "'dot' is not known"),
        ({"time": "t", "power": "watt"}, "no column 'watt'"),
        ({"time": "t", "power": "w", "path": "x"}, "path is a trace"),
        ({"time": "t", "power": "w", "file": "nowhere.csv"}, "cannot be read"),
        ({"time": "t", "power": "w", "file": ""}, "needs the log's name"),
    ],
)
def test_senseless_options(tmp_path, options, words):
    path = tmp_path / "log.csv"
    path.write_text("t,w\n0,4\n1,6\n")
    chosen = {"file": str(path), **options}
    text = ",".join(f"{key}={value}" for key, value in chosen.items())
    with pytest.raises(DeviceError, match=words):
        make_meter(f"replay:{text}").open()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("t,w\n0,4\n0,6\n", "time does not go forward"),
        ("t,w\n1,4\n0,6\n", "time does not go forward"),
        ("t,w\n0,four\n", "log.csv:2: 'four' is no number"),
        ("t,w\n0,nan\n", "not a finite number"),
        ("t,w\n1:x:2,4\n", "is no time"),
        ("t,w\nnan:00:00,4\n", "is no time"),
        ("t,w\ninf:00,4\n", "is no time"),
        ("t,w\n1_0:00:00,4\n", "is no time"),
        ("t,w\n1:00:00:00,4\n", "is no time"),
        ("t,w\n10:99:00,4\n", "is no time"),
        ("t;w\n0;1,234\n1;2,345\n", "'1,234' may be 1.234 or 1234"),
        ("t;w\n0;1,234\n1;2.345\n", "'1,234' may be 1.234 or 1234"),
        ("t;w\n0;4,5\n1;4.5\n", "'4.5' and '4,5' do not begin"),
        ("t;w\n0;1,234.5\n1;4,5\n", "'1,234.5' and '4,5' do not begin"),
        ("t;w\n0;12,34,567\n", "is no number"),
        ("t;w\n0;1.2,345.6\n", "is no number"),
        ("t;w\n0;1,234.5\n1;4.5,678.5\n", "is no number"),
        ("t;w\n0;1,234.5,6\n1;2,345.5\n", "same sign"),
        ("t;w\n0;1_000\n", "is no number"),
        ("t,w\n0,5,4,0\n", "more fields than the header"),
        ("t,w\n0\n", "too short"),
        ("t,w\n", "no line of figures"),
        ("", "is empty"),
    ],
)
def test_senseless_logs(tmp_path, text, words):
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(DeviceError, match=words):
        read_log(path, LogColumns("t", ("w",), 1.0, 1.0))


def test_the_nearest_column_is_offered(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("time,power\n0,4\n")
    with pytest.raises(DeviceError) as refused:
        read_log(path, LogColumns("time", ("pover",), 1.0, 1.0))
    assert "'power'" in refused.value.remedy
