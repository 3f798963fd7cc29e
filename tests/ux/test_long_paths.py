"""Paths that no file system can hold end in words with status 2, in every command."""

import importlib

import pytest

NAME = "x" * 300
PATH = "/tmp/" + "/".join(["y" * 200] * 25)

COMMANDS = (
    ("harness.cli.check", "{}"),
    ("harness.cli.compare", "{}", "{}"),
    ("harness.cli.list", "runs", "--out", "{}"),
    ("harness.cli.pack", "{}", "--out", "b"),
    ("harness.cli.pack", "--verify", "{}"),
    ("harness.cli.measure", "--meter", "none", "--out", "{}", "--", "true"),
    ("harness.cli.run", "--quick", "--meter", "none", "--out", "{}"),
    ("harness.cli.run", "--resume", "{}"),
    ("harness.cli.doctor", "--root", "{}"),
    ("harness.workloads.multitask.commands.data", "show", "{}"),
    ("analysis.report", "{}"),
)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:2]))
@pytest.mark.parametrize("path", [NAME, PATH], ids=["name", "path"])
def test_it_ends_in_words(words, path, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    module, *options = words
    main = importlib.import_module(module).main
    assert main([option.format(path) for option in options]) == 2
    said = capsys.readouterr().err
    assert "too long" in said
    assert "255 bytes" in said
    assert len(said) < 1000
