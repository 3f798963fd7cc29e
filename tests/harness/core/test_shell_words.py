"""A line that is told can be typed: a shell takes it for the same words."""

import shlex
import subprocess
from pathlib import Path

import pytest

from harness.core.shell_words import shell_line, shell_word, typed_line, typed_words

WORDS = ["plain", "two words", "it's", "sdn|kt", "a&b;c", "$HOME", "`id`", "*", "", "--methods=x y"]


def test_a_shell_reads_the_words_that_were_meant() -> None:
    line = f"printf '%s\\n' {shell_line(WORDS)}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == WORDS


@pytest.mark.parametrize("name", ["runs", "my runs", "a|b"])
def test_the_home_folder_is_a_tilde_that_a_shell_still_expands(monkeypatch, tmp_path, name) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    line = typed_line("harness.run", ["--out", str(tmp_path / name), "--quick"])
    assert str(tmp_path) not in line
    words = line.removeprefix("python -m harness.run")
    env = {"HOME": "/somewhere"}
    done = subprocess.run(
        ["sh", "-c", f"printf '%s\\n'{words}"], capture_output=True, text=True, check=True, env=env
    )
    assert done.stdout.split("\n")[:-1] == ["--out", f"/somewhere/{name}", "--quick"]


def test_bytes_that_are_no_text_are_spelt_out() -> None:
    line = shell_line(["ls", b"caf\xe9".decode(errors="surrogateescape")])
    assert line.encode() == b"ls 'caf\\udce9'"
    assert shlex.split(line)[1] == "caf\\udce9"


def test_what_was_typed_is_read_again(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    words = [*WORDS, "--out", str(tmp_path / "my runs")]
    assert typed_words(typed_line("harness.run", words), "harness.run") == words
    assert typed_words("python -m harness.run --label it's", "harness.run") == ["--label", "it's"]
    assert typed_words("", "harness.run") == []


@pytest.mark.parametrize("name", ["run", "re s/my run", "bün dle", "it's", "$HOME"])
def test_a_path_to_type_is_one_word_of_a_shell(name) -> None:
    line = f"printf '%s\\n' {shell_word(Path('top') / name)}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout == f"top/{name}\n"
