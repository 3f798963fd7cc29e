"""Programs: found under the root only, asked once, and killed with everything they started."""

import os
import signal

import pytest

from devices.programs import (
    LONGEST_ANSWER,
    NOT_STARTED,
    PIECE_BYTES,
    Answer,
    Programs,
    launch_program,
    run_program,
    stop_program,
)


def script(path, body):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_programs_are_asked_once_and_only_under_the_root(tmp_path):
    """The same question is answered from memory; a program that is not under the root is absent."""
    asked = []

    def run(words, timeout_s):
        asked.append(list(words))
        return Answer(0, "hello")

    programs = Programs(tmp_path, run)
    assert programs.ask("sh", "-c", "true") == ""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").write_text("")
    (tmp_path / "bin/sh").chmod(0o755)
    assert programs.ask("sh", "-c", "true") == programs.ask("sh", "-c", "true") == "hello"
    assert asked == [[str(tmp_path / "bin/sh"), "-c", "true"]]


def test_outputs_are_told_apart(tmp_path):
    """Status, standard output and standard error come back; what cannot start has 126."""
    talker = script(tmp_path / "talker", "echo said; echo told >&2; exit 3")
    assert run_program([talker], 5.0) == Answer(3, "said\n", "told\n")
    (tmp_path / "talker").write_text("\0 no program")
    for path in (talker, str(tmp_path / "none")):
        answer = run_program([path], 1.0)
        assert (answer.status, answer.text) == (NOT_STARTED, "")
        assert path in answer.errors


def test_words_of_an_endless_program_are_kept(tmp_path):
    """A program that never ends has no status, but what it said."""
    endless = script(tmp_path / "endless", "echo one line; echo why >&2; exec sleep 3000")
    assert run_program([endless], 0.3) == Answer(None, "one line\n", "why\n")


@pytest.mark.parametrize("end", ["sleep 3000", "exec sleep 3000", "exit 0"])
def test_nothing_a_program_started_stays(tmp_path, until, group_is_gone, end):
    """A program that hangs, or ends before its children, is gone with its whole group."""
    note = tmp_path / "pid"
    body = f"echo $$ > {note}; sleep 3000 > /dev/null 2>&1 & echo said; {end}"
    answer = run_program([script(tmp_path / "parent", body)], 0.5)
    assert answer.text == "said\n"
    until(lambda: group_is_gone(int(note.read_text())))


def test_a_stranger_that_keeps_the_pipe_does_not_hold_us_up(tmp_path):
    """A child that left the group cannot be killed with it, and is not waited for."""
    note = tmp_path / "pid"
    body = f"setsid sh -c 'echo $$ > {note}; exec sleep 3000' & echo said; sleep 3000"
    answer = run_program([script(tmp_path / "parent", body)], 0.5)
    os.kill(int(note.read_text()), signal.SIGKILL)  # fails if it was waited for
    assert answer == Answer(None, "said\n")


def test_stopping_a_program_that_ignores_it(tmp_path, until, group_is_gone):
    """A launched program that shrugs off SIGTERM is killed with its children."""
    body = "trap '' TERM; echo ready; sleep 3000 & while :; do sleep 0.1; done"
    process = launch_program([script(tmp_path / "stubborn", body)])
    with process:
        assert process.stdout.readline() == b"ready\n"
        stop_program(process)
    until(lambda: group_is_gone(process.pid))


def test_a_program_that_floods_is_cut_off(tmp_path):
    """What prints without pause is stopped at a bound, long before its time, and has no status."""
    flood = script(tmp_path / "flood", "exec yes")
    answer = run_program([flood], 20.0)
    assert answer.status is None
    assert set(answer.text) == {"y", "\n"}
    assert len(answer.text) < LONGEST_ANSWER + 4 * PIECE_BYTES
