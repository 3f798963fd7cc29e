"""A run folder that may be a stranger's: nothing in it leads elsewhere, waits or floods."""

import os

import pytest

from harness.core.clean_text import clean, prepare_terminal, spreadsheet_safe, without_home
from harness.core.errors import DamagedRunError
from harness.core.guarded_folder import (
    folder_below,
    guard,
    is_safe_name,
    read_bytes,
    read_object,
    strict_json,
    write_below,
)


def test_links_and_pipes_are_refused_wherever_they_stand(tmp_path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    guard(tmp_path)
    os.mkfifo(tmp_path / "a" / "b" / "pipe")
    for read in (lambda: guard(tmp_path), lambda: read_bytes(tmp_path / "a" / "b" / "pipe")):
        with pytest.raises(DamagedRunError, match="pipe"):
            read()


def test_writing_replaces_a_link_and_never_follows_a_folder_that_is_one(tmp_path) -> None:
    victim, run = tmp_path / "victim", tmp_path / "run"
    victim.mkdir()
    run.mkdir()
    (victim / "file").write_text("precious")
    (run / "page").symlink_to(victim / "file")
    (run / "folder").symlink_to(victim)
    write_below(run, "page", b"new")
    assert (run / "page").read_bytes() == b"new"
    for name in ("folder/file", "../victim/file", "/tmp/x"):
        with pytest.raises(DamagedRunError):
            write_below(run, name, b"new")
    assert (victim / "file").read_text() == "precious"
    with pytest.raises(FileNotFoundError):
        folder_below(tmp_path / "gone", "checkpoints")


def test_json_is_bounded_and_its_control_characters_are_spelt_out(tmp_path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text('{"a": ["\\u001b]0;x\\u0007", "\\u202e"]}')
    assert read_object(path) == {"a": ["\\x1b]0;x\\x07", "\\u202e"]}
    path.write_text('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(DamagedRunError, match="cannot be read"):
        read_object(path)
    with pytest.raises(DamagedRunError, match="more than"):
        read_bytes(path, 10)


@pytest.mark.parametrize("name", ["", "..", "a/b", "../a", "/a", ".hidden", "a\n", "x" * 300, None])
def test_names_that_lead_elsewhere_are_none(name) -> None:
    assert not is_safe_name(name)
    assert is_safe_name("mas-splits-2-s0-r0")


def test_text_is_cleaned_for_where_it_goes(tmp_path) -> None:
    assert clean("Δ × ok") == "Δ × ok"
    assert clean("a\x9b2J\x1b[2J\n", keep="\n") == "a\\x9b2J\\x1b[2J\n"
    assert [spreadsheet_safe(t) for t in ("=1", " @x", "mas")] == ["'=1", "' @x", "mas"]
    with (tmp_path / "terminal").open("w", encoding="ascii") as stream:
        prepare_terminal([stream])
        stream.write("Δ é … 漢")
    assert (tmp_path / "terminal").read_text() == "delta  e ... ?"


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "-1e999", "9" * 400])
def test_numbers_that_nobody_can_reckon_with_are_refused(tmp_path, number) -> None:
    """Python's own reader takes all of them."""
    (tmp_path / "x.json").write_text(f'{{"energy_model": {{"idle_w": {number}}}}}')
    with pytest.raises(DamagedRunError, match="is no JSON number"):
        read_object(tmp_path / "x.json")


def test_numbers_of_a_generator_s_state_are_read() -> None:
    assert strict_json(b"[340282366920938463463374607431768211455, -1e300]") == [2**128 - 1, -1e300]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/me/x --out=/home/me/y", "~/x --out=~/y"),
        ("'/home/me/a b' /home/me", "'~/a b' ~"),
        ("/mnt/home/me/x", "/mnt/home/me/x"),
        ("/home/meyer/x", "/home/meyer/x"),
    ],
)
def test_the_home_folder_is_named_where_a_path_begins_with_it(monkeypatch, text, shown) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert without_home(text) == shown
