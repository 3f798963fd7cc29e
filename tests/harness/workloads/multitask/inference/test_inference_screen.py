"""What inference says under load: the bar, a log's line, and the words below the table."""

import io

from rich.console import Console

from harness.workloads.multitask.inference.screen import InferenceScreen, disturbed_sentences

ROW = {"cell": "mas-s0-r0", "runtime": "onnxruntime", "precision": "fp32",
       "scenario": "single-stream", "status": "done", "flags": ""}  # fmt: skip


def test_disturbed_windows_are_counted_and_failed_ones_are_not() -> None:
    rows = [ROW, ROW | {"flags": "foreign-load"}, ROW | {"flags": "foreign-load+stolen-time"},
            ROW | {"status": "failed", "flags": None}]  # fmt: skip
    (text,) = disturbed_sentences(rows)
    assert text.startswith("2 of 3 windows were disturbed (foreign-load, stolen-time in 1)")
    assert disturbed_sentences([ROW]) == []


def test_nodes_that_run_elsewhere_are_printed_within_80_columns(tmp_path) -> None:
    text = io.StringIO()
    screen = InferenceScreen(Console(file=text, width=80), tmp_path)
    screen.placed("mas-s0-r0, sd, onnxruntime fp32 cuda", "1 of 9 nodes is on CPU: Sin wave " * 3)
    lines = text.getvalue().splitlines()
    assert lines[0].startswith("Nodes    mas-s0-r0, sd, onnxruntime fp32 cuda: 1 of 9 nodes")
    assert max(map(len, lines)) <= 80


def test_a_log_names_the_window_that_was_disturbed(tmp_path) -> None:
    text = io.StringIO()
    screen = InferenceScreen(Console(file=text, width=100), tmp_path)
    screen.measured(ROW)
    assert text.getvalue() == ""
    screen.measured(ROW | {"flags": "resumed+foreign-load"})
    assert "mas-s0-r0 onnxruntime fp32 single-stream: disturbed (foreign-load)" in text.getvalue()
