"""Targets of the package `devices`: what boards, plugs and files of the kernel say."""

from __future__ import annotations

import math
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devices.board_counters import parse_process_s, parse_stat, parse_swapped
from devices.board_modes import parse_modes
from devices.board_state import (
    parse_jetson_clocks,
    parse_l4t,
    parse_nvpmodel,
    parse_nvpmodel_status,
    parse_throttled,
)
from devices.errors import DeviceError
from devices.meters.base import MeterInfo, Rail
from devices.meters.plug_answers import PlugReading, parse_shelly, parse_tasmota
from devices.meters.plug_http import FetchError, parse_object
from devices.meters.pmic import parse_adc
from devices.meters.rapl import parse_microjoules
from devices.meters.rapl_perf import parse_count
from devices.meters.rapl_perf_events import parse_scale
from devices.meters.registry import MeterSpec
from devices.meters.replay import load_trace
from devices.meters.sysfs import parse_integer
from devices.meters.tegrastats import parse_line
from devices.profile import load_profile
from devices.records import Record, RecordKind, RecordReader, RecordWriter
from devices.text_files import parse_cpu_list
from tests.fuzz.target import Target, invented, told

ROOT = Path(__file__).parents[2]
CAPTURES = ROOT / "tests" / "fixtures" / "boards" / "captures"


def targets(folder: Path) -> Iterator[Target]:
    """Yield the targets; parsers of files get theirs in a folder of their own."""
    yield from _lines()
    yield from _board_texts()
    yield from _files(folder)


def _lines() -> Iterator[Target]:
    lines = [
        line for path in sorted(CAPTURES.glob("tegrastats*"))
        for line in path.read_bytes().splitlines()[:3]
    ]  # fmt: skip
    yield Target(
        "a line of tegrastats", lines, lambda c: parse_line(c.decode("utf-8", "replace")),
        judge=lambda c, found: invented(c, (rail.power_w for rail in found), (1e-3,)), weight=4,
    )  # fmt: skip
    adc = [path.read_bytes() for path in CAPTURES.glob("pi5*")]
    yield Target("vcgencmd pmic_read_adc", adc, lambda c: parse_adc(c.decode("utf-8", "replace")),
                 judge=_product)  # fmt: skip
    yield Target(
        "energy_uj", [b"123456789\n", b"0\n", b"262143328850\n"], parse_microjoules,
        judge=lambda c, v: "" if v is None else invented(c, [v], (1e-6,)), weight=2,
    )  # fmt: skip
    yield Target(
        "a whole number of the kernel", [b"5104\n", b"-12\n", b"0\n"],
        lambda c: parse_integer(c, 10**6), weight=2,
        judge=lambda c, v: "" if v is None or abs(v) > 10**6 else invented(c, [float(v)]),
    )  # fmt: skip
    scales = [b"2.3283064365386962890625e-10", b"6.103515625e-05"]
    yield Target(
        "scale of a perf event", scales, lambda c: parse_scale(c.decode("utf-8", "replace")),
        judge=lambda c, v: "" if v is None else invented(c, [v]),
    )  # fmt: skip
    counts = [struct.pack("<QQQ", 2**40, 10**9, 10**9), struct.pack("<QQQ", 5, 10, 1)]
    yield Target("count of a perf event", counts, lambda c: parse_count(c, 2.0**-32),
                 judge=_sane_count)  # fmt: skip
    yield from _plugs()


def _plugs() -> Iterator[Target]:
    shelly = [
        b'{"id":0,"output":true,"apower":8.9,"voltage":237.5,"aenergy":{"total":6.532}}',
        b'{"id":0,"act_power":12.25}',
    ]
    tasmota = [
        b'{"StatusSNS":{"Time":"2026-11-01T00:00:00","ENERGY":{"Total":3.185,"Power":9.42}}}',
    ]
    refused = (DeviceError, PermissionError, FetchError)
    for name, seeds, parse in (
        ("answer of a Shelly", shelly, parse_shelly),
        ("answer of a Tasmota", tasmota, parse_tasmota),
    ):
        yield Target(name, seeds, lambda c, parse=parse: parse(parse_object(c)), refused, _plug, 2)  # type: ignore[misc]


def _plug(content: bytes, found: PlugReading) -> str:
    totals = [] if found.total_j is None else [found.total_j]
    return invented(content, [found.power_w]) or invented(content, totals, (3600.0, 3.6e6))


def _product(content: bytes, found: dict[str, float | None]) -> str:
    numbers = told(content)
    for value in found.values():
        if value is not None and not (
            math.isfinite(value)
            and any(math.isclose(value, a * b, rel_tol=1e-9) for a in numbers for b in numbers)
        ):
            return f"{value} W is the product of no two numbers of the input"
    return ""


def _sane_count(content: bytes, value: float | None) -> str:
    if value is None:
        return ""
    (count,) = struct.unpack_from("<Q", content)
    return "" if value == count * 2.0**-32 else f"{value} J of {count}"


def _board_texts() -> Iterator[Target]:
    show = b"cpu0: Online=1 Governor=schedutil MinFreq=729600 MaxFreq=1510400 IdleStates: WFI=0\n"
    stat = b"cpu  10 2 30 400 5 6 7 8 0 0\ncpu0 10 2 30 400 5 6 7 8 0 0\n"
    modes = b"< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\nCPU_A78_0 MAX_FREQ 1510400\n"
    texts: tuple[tuple[str, bytes, Any], ...] = (
        ("nvpmodel -q", b"NV Power Mode: MAXN_SUPER\n2\n", parse_nvpmodel),
        ("state of nvpmodel", b"pmode:0002\nfmode:cool\n", parse_nvpmodel_status),
        ("nvpmodel.conf", modes, parse_modes),
        ("jetson_clocks --show", show, parse_jetson_clocks),
        ("get_throttled", b"throttled=0x50005\n", parse_throttled),
        ("nv_tegra_release", b"# R36 (release), REVISION: 4.3, GCID: 1", lambda t: parse_l4t(t, t)),
        ("/proc/stat", stat, parse_stat),
        ("/proc/vmstat", b"pswpin 12\npswpout 3\n", parse_swapped),
        ("/proc/PID/stat", b"1 (a b) S 1 1 1 0 -1 4 1 0 0 0 70 30 0 0 20 0\n", parse_process_s),
        ("list of processors", b"0-3,7\n", parse_cpu_list),
    )
    for name, seed, parse in texts:
        yield Target(
            name, [seed], lambda c, parse=parse: parse(c.decode("utf-8", "replace")), judge=_finite
        )  # type: ignore[misc]
    specs = [b"rapl+nvml", b"plug:host=10.0.0.7,type=shelly", b"simulated:low_w=1,high_w=9"]
    yield Target(
        "name of a meter", specs, lambda c: MeterSpec.parse(c.decode("utf-8", "replace")),
        (DeviceError,),
    )  # fmt: skip


def _finite(_: bytes, found: object) -> str:
    """Numbers of an answer are numbers; infinity is a clock without a cap."""
    values = found if isinstance(found, tuple | list) else [found]
    bad = [v for v in values if isinstance(v, float) and not math.isfinite(v)]
    return f"{bad[0]} is no number" if bad else ""


def _files(folder: Path) -> Iterator[Target]:
    trace = folder / "trace.csv"
    rows = b"t_s,rail,power_w,energy_j\n0.0,a,5.0,\n1.0,a,6.5,\n2.0,a,7.25,\n"
    counter = b"t_s,rail,power_w,energy_j\n0.0,a,,10.0\n1.0,a,,16.5\n"

    def replay(content: bytes) -> Any:
        trace.write_bytes(content)
        return load_trace(trace)

    yield Target("trace to replay", [rows, counter], replay, (DeviceError,), _replayed)
    sound = ROOT / "devices" / "profiles" / "jetson-orin-nano.toml"
    profile = folder / sound.name

    def board(content: bytes) -> Any:
        profile.write_bytes(content)
        return load_profile(profile)

    yield Target("profile of a device", [sound.read_bytes()], board, (DeviceError,), weight=0.5)
    yield _recording(folder / "samples.bin")


def _replayed(content: bytes, rails: dict[str, Any]) -> str:
    values = [v for rail in rails.values() for v in (*rail.times_s, *rail.values)]
    return invented(content, values)


def _recording(path: Path) -> Target:
    with tempfile.TemporaryDirectory() as place:
        made = Path(place) / "made.bin"
        writer = RecordWriter.open_new(made, MeterInfo("m", "sampled", "board", (Rail("a"),)), 0.1)
        writer.write([Record(RecordKind.SAMPLE, 0, 1.0, 1.0, 5.0)] * 3)
        writer.close()
        sound = made.read_bytes()

    def read(content: bytes) -> Any:
        path.write_bytes(content)
        return RecordReader(path).read_new()

    return Target("recording of a meter", [sound], read, (DeviceError,))
