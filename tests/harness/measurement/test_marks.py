"""Marks reach the process that measures, whoever writes them, and survive what tears a file."""

import json
import os
import subprocess
import sys
import threading

import pytest

from harness.core.errors import UsageError
from harness.measurement.marks import VARIABLE, MarkFile, announce, inherited, read_marks


@pytest.fixture
def opened(tmp_path):
    path = tmp_path / "marks"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    yield path, descriptor
    os.close(descriptor)


def spans(path, end_s=100.0):
    return read_marks(iter(path.read_text().splitlines()), end_s)


def test_phases_nest_and_keep_what_was_said_of_them(opened):
    path, descriptor = opened
    times = iter([1.0, 2.0, 4.0, 7.0])
    marks = MarkFile(descriptor, lambda: next(times), lambda: 0.5)
    outer = marks.begin("outer", {"round": 3})
    inner = marks.begin("inner")
    marks.end(inner, 16)
    marks.end(outer)
    found = {s.name: (s.start.time_s, s.end.time_s, dict(s.fields), s.samples) for s in spans(path)}
    assert found == {"outer": (1.0, 7.0, {"round": 3}, None), "inner": (2.0, 4.0, {}, 16.0)}


def test_lines_that_are_no_marks_end_nothing():
    """A mark without an identity is opened under none; a torn line has none either."""
    lines = ['{"t_s": 1.5, "begin": "load"}', '{"t_s": Infin', "[]", '{"end": "None"}']
    (span,) = read_marks(lines, 9.0)
    assert (span.name, span.start.time_s, span.end.time_s) == ("load", 1.5, 9.0)


def test_many_threads_lose_nothing(opened):
    path, descriptor = opened
    marks = MarkFile(descriptor)

    def work():
        for _ in range(500):
            marks.end(marks.begin("x" * 300))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = spans(path, 1e12)
    assert len(found) == 2000
    assert not any(s.cut for s in found)


def test_an_open_phase_ends_with_the_program_and_says_so(opened):
    path, descriptor = opened
    MarkFile(descriptor, lambda: 5.0).begin("train")
    with path.open("a") as stream:
        stream.write('{"end": "to')  # as a kill leaves it
    (found,) = spans(path, 9.0)
    assert (found.start.time_s, found.end.time_s, found.cut) == (5.0, 9.0, True)


def test_steps_of_two_scripts_do_not_end_each_other(opened):
    path, descriptor = opened
    times = iter([1.0, 2.0, 3.0, 4.0])
    marks = MarkFile(descriptor, lambda: next(times))
    marks.step("load", 1)
    marks.step("other", 2)
    marks.step("train", 1)
    marks.step("", 1)
    found = {s.name: (s.start.time_s, s.end.time_s, s.cut) for s in spans(path, 9.0)}
    assert found == {
        "load": (1.0, 3.0, False), "other": (2.0, 9.0, False), "train": (3.0, 4.0, False),
    }  # fmt: skip


@pytest.mark.parametrize("line", ["", "[]", "3", "null", '{"begin": "x"}', '{"t_s": "1"}', "{"])
def test_what_is_no_mark_is_left_out(line):
    assert read_marks(iter([line]), 1.0) == []


def test_a_program_finds_the_file_by_descriptor_and_by_name(opened):
    path, descriptor = opened
    code = "from harness.measurement import phase\nwith phase('a', samples=2): pass"
    environment = {**os.environ, VARIABLE: announce(descriptor, path)}
    for handed in ((descriptor,), ()):
        subprocess.run([sys.executable, "-c", code], env=environment, pass_fds=handed, check=True)
    assert [s.name for s in spans(path, 1e12)] == ["a", "a"]


def test_a_descriptor_that_is_another_file_is_not_touched(opened, tmp_path):
    path, descriptor = opened
    other = tmp_path / "other"
    with other.open("w") as stream:
        words = announce(descriptor, path).split(":", 1)[1]
        found = inherited({VARIABLE: f"{stream.fileno()}:{words}"})
        assert found is not None
        found.end(found.begin("x"))
        os.close(found.descriptor)
    assert other.read_text() == ""
    assert json.loads(path.read_text().splitlines()[0])["begin"] == "x"


@pytest.mark.parametrize("text", ["", "7", "a:b:c:d", "999:1:2:/nowhere/at/all"])
def test_without_a_parent_there_is_nothing(text):
    assert inherited({VARIABLE: text}) is None


TOO_LONG = "9" * 400


@pytest.mark.parametrize(
    "line",
    ["[" * 100_000, '{"t_s": NaN, "begin": "a"}', f'{{"t_s": {TOO_LONG}, "begin": "a"}}',
     '{"t_s": true, "begin": "a"}'],
    ids=["deep", "not a number", "too large", "a truth value"],
)  # fmt: skip
def test_a_line_without_a_time_is_no_mark(line):
    assert read_marks([line], 9.0) == []


@pytest.mark.parametrize("samples", ["NaN", "-1", TOO_LONG, '"8"', "true", "[8]", "Infinity"])
def test_what_is_no_number_of_samples_is_not_kept(samples):
    """Whoever writes the file by hand; `phase` refuses them."""
    lines = ['{"t_s": 1.0, "begin": "a", "id": "1"}',
             f'{{"t_s": 2.0, "end": "1", "samples": {samples}}}']  # fmt: skip
    (span,) = read_marks(lines, 9.0)
    assert (span.end.time_s, span.samples) == (2.0, None)


def test_a_process_that_is_no_number_is_not_known():
    (span,) = read_marks(['{"t_s": 1.0, "begin": "a", "pid": "x"}'], 9.0, {3: 1.0})
    assert (span.process, span.end.cpu_s) == (0, None)


def test_a_name_of_any_bytes_can_be_written(opened):
    """Names may come from files: bytes that are no UTF-8 are spelt out, long ones shortened."""
    path, descriptor = opened
    marks = MarkFile(descriptor)
    for name in ("caf\udce9", "x" * 1000):
        marks.end(marks.begin(name))
    first, second = (span.name for span in spans(path, 1e12))
    assert first == r"caf\udce9"
    assert len(second) <= 255
    assert second.startswith("x" * 240)


class Scalar:
    """Stand for one number of NumPy or PyTorch, which JSON does not know."""

    def __float__(self) -> float:
        return 32.0


@pytest.mark.parametrize("samples", [32, 32.0, Scalar()])
def test_samples_of_any_kind_of_number_count(opened, samples):
    path, descriptor = opened
    marks = MarkFile(descriptor)
    marks.end(marks.begin("a"), samples)
    assert [span.samples for span in spans(path, 1e12)] == [32.0]


@pytest.mark.parametrize("samples", ["32", float("nan"), float("inf"), -1, [32], 10**400])
def test_what_is_no_number_of_samples_is_refused_where_it_is_said(opened, samples):
    _, descriptor = opened
    marks = MarkFile(descriptor)
    with pytest.raises(UsageError, match="is no number of samples"):
        marks.end(marks.begin("a"), samples)
