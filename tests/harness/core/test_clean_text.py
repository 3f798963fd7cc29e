"""Names of files are shown so that they can be typed, and nothing in them moves a cursor."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.clean_text import clean, native, prepare_terminal, readable, say
from harness.core.shell_words import own_path, typed_line, typed_words, written

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "fixtures" / "runs" / "schema1"
PLAIN_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def of_ascii(name: bytes) -> str:
    """Return what Python makes of a file's name where the locale is C."""
    return name.decode("ascii", "surrogateescape")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bün dle".encode(), "bün dle"),
        ("日本".encode(), "日本"),
        (b"caf\xe9", "caf\\udce9"),
        (b"\xc3", "\\udcc3"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}x".encode(), "\\u202ex"),
        (b"\xc2\x9b2J", "\\x9b2J"),
        (b"\x1b[2J\xc3\xbc", "\\x1b[2Jü"),
    ],
)
def test_names_are_read_as_utf_8_and_all_else_is_spelt_out(name: bytes, text: str) -> None:
    assert clean(of_ascii(name)) == text


@pytest.mark.parametrize(
    ("name", "bytes_shown"),
    [
        ("bün dle".encode(), "bün dle".encode()),
        (b"caf\xe9", b"caf\\udce9"),
        (b"\xc2\x9b2J", b"\\x9b2J"),
        ("Δ é".encode(), "Δ é".encode()),
    ],
)
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_name_is_printed_as_its_bytes(name, bytes_shown, encoding, monkeypatch) -> None:
    """Also where the terminal is said to lack the letters; what is spelt out stays so."""
    monkeypatch.setattr(os, "fsdecode", of_ascii)
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    prepare_terminal([stream])
    say(of_ascii(name), stream)
    stream.flush()
    assert stream.buffer.getvalue() == bytes_shown + b"\n"


def test_letters_of_this_program_are_still_replaced_beside_a_name() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    prepare_terminal([stream])
    print("Δ→" + of_ascii("é".encode()) + of_ascii(b"\x9b") + "×ü", file=stream)
    stream.flush()
    assert stream.buffer.getvalue() == b"delta ->" + "é".encode() + b"?xu\n"


def test_what_is_written_is_the_same_whatever_the_locale(monkeypatch) -> None:
    word = of_ascii("bün/dle".encode())
    line = typed_line("harness.run", ["--out", word])
    assert line == typed_line("harness.run", ["--out", "bün/dle"])
    monkeypatch.setattr(os, "fsdecode", of_ascii)
    assert typed_words(line, "harness.run") == ["--out", word]
    assert own_path("bün/dle") == word
    assert native(readable(word)) == word
    assert written(word) == "bün/dle"
    assert written(of_ascii(b"caf\xe9")) == "caf\\udce9"


def here(*words: object) -> tuple[int, bytes]:
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)], capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **PLAIN_LOCALE},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.whole
def test_commands_show_names_that_can_be_typed_in_a_plain_locale(tmp_path) -> None:
    run = tmp_path / "el se" / "ünlearn x"
    shutil.copytree(GOLDEN, run)
    assert os.fsencode(run) in here("harness.check", run)[1]
    status, out = here("harness.list", "runs", "--page", "--out", run.parent)
    assert status == 0
    assert f"'{run}'".encode() in out
    assert "ünlearn x" in (run.parent / "index.html").read_text(encoding="utf-8")
    status, out = here("harness.report", run, "--out", tmp_path / "rëport")
    assert status == 0, out
    page = (tmp_path / "rëport" / "index.html").read_text(encoding="utf-8")
    assert "ünlearn x" in page
    assert os.fsencode(tmp_path / "rëport") in out
