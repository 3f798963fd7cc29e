"""Targets of the package `harness`: files of runs and data, the wire, options, settings."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError, SeveralProblems
from harness.core.guarded_folder import read_object
from harness.core.schema import FILES, SCHEMA_VERSION, Column
from harness.evidence.intact import check_file
from harness.evidence.signature import verify
from harness.evidence.tables import CsvTable, parse_table
from harness.evidence.words import parse_percent
from harness.fleet.strict import read_facts
from harness.fleet.traces import trace_rows
from harness.fleet.wire import WireError, header_bytes, read_header
from harness.measurement.cooling import parse_cool_down
from harness.measurement.idle import read_idle
from harness.measurement.marks import read_marks
from harness.run_folder.repair import read_events
from harness.run_folder.results import csv_text
from harness.run_folder.sessions import read_sessions
from harness.running.limits import parse_energy_j, parse_time_s
from harness.workloads.multitask.commands.affinity_history import read_history
from harness.workloads.multitask.commands.matrix import read_matrix
from harness.workloads.multitask.config import read_multitask_file
from harness.workloads.multitask.data.shard import parse_record
from harness.workloads.multitask.methods.registry import parse as parse_method
from tests.fuzz.target import Target, invented

Errors = tuple[type[Exception], ...]
REFUSED = (HarnessError, SeveralProblems)
RUN = Path(__file__).parents[1] / "fixtures" / "runs" / "schema2"


def targets(folder: Path) -> Iterator[Target]:
    """Yield the targets; parsers of files get theirs in a folder of their own."""
    yield from _tables()
    yield from _manifests(folder)
    yield from _run_files(folder)
    yield from _wire()
    yield from _trace_of_a_node()
    yield from _options(folder)
    yield from _bundles(folder)


def _tables() -> Iterator[Target]:
    for name, columns in FILES.items():
        sound = [_example(columns)]
        kept = RUN / name
        if kept.is_file():
            lines = kept.read_bytes().splitlines(keepends=True)
            sound.append(b"".join(lines[:4]))
        path = Path(name)

        def read(content: bytes, columns: Any = columns, path: Path = path) -> CsvTable:
            return parse_table(path, content, columns, SCHEMA_VERSION)

        yield Target(name, sound, read, REFUSED, _table, 2)


def _example(columns: tuple[Column, ...]) -> bytes:
    kinds: Mapping[str, Any] = {"str": "a-1", "int": 3, "float": 2.5, "bool": True}
    row = {column.name: kinds[column.type] for column in columns}
    return csv_text(columns, [row, row]).encode()


def _table(content: bytes, table: CsvTable) -> str:
    values = [v for row in table.rows for v in row.values() if type(v) in (int, float)]
    return invented(content, [float(v) for v in values if math.isfinite(v)])


def _file(folder: Path, name: str, read: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)

    def parse(content: bytes) -> Any:
        path.write_bytes(content)
        return read(path)

    return parse


def _manifests(folder: Path) -> Iterator[Target]:
    kept = [(RUN / "manifest.json").read_bytes()]

    def told(path: Path) -> Any:
        manifest = read_object(path)
        read_idle(manifest.get("idle"))
        try:
            return read_sessions(manifest)
        except (KeyError, TypeError, ValueError):  # by which it says that they are none
            return None

    yield Target("manifest.json", kept, _file(folder, "manifest.json", told), REFUSED, weight=2)


def _run_files(folder: Path) -> Iterator[Target]:
    events = b'{"t_s": 0.5, "event": "started"}\n{"t_s": 1.0, "event": "cell done", "cell": "a"}\n'
    place = _file(folder, "events.jsonl", lambda path: read_events(path.parent))
    yield Target("events.jsonl", [events], place, REFUSED)
    head = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    weights = struct.pack("<Q", len(head)) + head + bytes(8)
    conditions = _example(FILES["conditions/<cell>.csv"])
    matrix = b",s,d,n\ns,0.0,0.5,0.25\nd,0.125,0.0,0.5\nn,1.0,2.0,0.0\n"
    trace = (next(iter(sorted(RUN.glob("traces/*.gz"))))).read_bytes()
    for name, seed in (
        ("checkpoints/c/s.safetensors", weights), ("affinity/c.csv", matrix),
        ("traces/c.csv.gz", trace[:4000]), ("conditions/c.csv", conditions),
    ):  # fmt: skip

        def check(path: Path, name: str = name) -> str:
            return check_file(path, Path(name), SCHEMA_VERSION)

        yield Target(f"check of {name}", [seed], _file(folder, name, check))
    path = _file(folder, "affinity.csv", lambda path: read_matrix(path, with_diagonal=True))
    yield Target("affinity matrix", [matrix], path, REFUSED,
                 lambda c, found: invented(c, found.values.ravel().tolist()))  # fmt: skip
    rounds = b"round,recipient,source,mean,std,count\n" + b"".join(
        f"0,{row},{column},0.5,0.1,3\n".encode() for row in "sd" for column in "sd"
    )
    yield Target(
        "affinity by rounds", [rounds], _file(folder, "c_rounds.csv", read_history), REFUSED
    )
    marks = b'{"t_s": 1.5, "begin": "load", "id": "a"}\n{"t_s": 2.5, "end": "a"}\n'
    yield Target("marks of phases", [marks], _marks, judge=_spans)
    record = b'{"files": {"depth": {"sha256": "ab", "bytes": 9, "dtype": "u2", "shape": [1, 2]}},'
    record += b' "images": ["a"], "left_out": [["b", [["f", "why"]]]]}'
    yield Target("record of a shard", [record], lambda c: parse_record(Path("record"), c), REFUSED)


def _marks(content: bytes) -> Any:
    return read_marks(content.decode("utf-8", "replace").splitlines(), 9.0)


def _spans(content: bytes, found: Any) -> str:
    moments = [moment for span in found for moment in (span.start.time_s, span.end.time_s)]
    return invented(content + b" 9.0", [m for m in moments if math.isfinite(m)])


def _wire() -> Iterator[Target]:
    header = header_bytes({"kind": "update", "device": "pi", "entries": [1.5, {"a": None}]})
    yield Target("header of the wire", [header], read_header, (WireError,), weight=4)
    yield Target(
        "facts of a device", [header], lambda c: read_facts(read_header(c), "facts"),
        (WireError, HarnessError), weight=2,
    )  # fmt: skip


def _trace_of_a_node() -> Iterator[Target]:
    sound = b"t_s,rail,power_w,energy_j\n1.0,in,5.5,\n2.0,in,6.25,\n"
    yield Target(
        "trace of a node", [sound], lambda c: trace_rows({"pi": (0.0, c)}),
        judge=lambda c, rows: invented(c, [v for row in rows for v in row.values()
                                           if isinstance(v, float)]),
    )  # fmt: skip


def _options(folder: Path) -> Iterator[Target]:
    texts: tuple[tuple[str, list[bytes], Callable[[str], Any], Errors], ...] = (
        ("--max-time", [b"90s", b"2h", b"1.5m"], parse_time_s, (ValueError,)),
        ("--max-energy", [b"5kJ", b"20Wh", b"300J"], parse_energy_j, (ValueError,)),
        ("--max-spread", [b"5%", b"0.5%"], lambda t: parse_percent("--x", t), ()),
        ("--cool-down", [b"auto", b"30s", b"none", b"45C"], parse_cool_down, (ValueError,)),
        ("--methods", [b"mas:splits=2,merge_rounds=4", b"tag"], parse_method, (ValueError,)),
    )  # fmt: skip
    for name, seeds, read, refused in texts:
        yield Target(
            name, seeds, lambda c, read=read: read(c.decode("utf-8", "replace")),
            (*REFUSED, *refused), _one_number,
        )  # type: ignore[misc]  # fmt: skip
    toml = b'methods = ["independent", "mas:splits=2"]\nrounds = 4\n'
    toml += b"learning_rate = 0.5\nseeds = [0, 1]\n"
    read_toml = _file(folder, "config.toml", read_multitask_file)
    yield Target("--config FILE", [toml], read_toml, REFUSED)


def _one_number(_: bytes, found: object) -> str:
    return f"{found} is no number" if isinstance(found, float) and not math.isfinite(found) else ""


def _bundles(folder: Path) -> Iterator[Target]:
    top = folder / "bundle"
    top.mkdir()
    (top / "a.csv").write_bytes(b"a\n")
    sums = b"87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7  a.csv\n"

    def check(content: bytes) -> Any:
        (top / "SHA256SUMS").write_bytes(content)
        return verify(top)

    def judge(content: bytes, _: object) -> str:
        right = any(line.rstrip(b"\r\n") == sums.strip() for line in content.splitlines())
        return "" if right else "passes with another list of checksums"

    yield Target("SHA256SUMS of a bundle", [sums], check, REFUSED, judge, 0.3)
