"""What people are told to type reaches the very folder, whatever it is called."""

import re
import shlex

import pytest

from harness.cli import check, ending, pack
from harness.cli import list as listing
from harness.core.errors import DamagedRunError, UsageError
from harness.evidence.reading import find_run, read_run
from harness.workloads.multitask.deployed import deployed
from harness.workloads.multitask.inference.deployment import chosen_cells
from tests.harness.evidence.test_bundle import GOLDEN

NAMES = ["re s/my run", "bün dle", "it's", "plain"]


def typed(text: str, words: str) -> str:
    """Return what a shell reads behind the words of a command; a line may end between any two."""
    _, rest = re.split(r"\s+".join(f"python -m harness.{words} ".split(" ")), text, maxsplit=1)
    read = shlex.shlex(rest, posix=True, punctuation_chars=";")
    read.whitespace_split = True
    return next(read)


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_run_is_gone_on_with_by_what_is_said(name, draft, capsys) -> None:
    folder = draft(name, status="interrupted").fill().write()
    check.main([str(folder)])
    assert typed(capsys.readouterr().out, "run --resume") == str(folder)
    listing.main(["runs", "--out", str(folder.parent)])
    out = capsys.readouterr().out
    assert typed(out, "run --resume") == typed(out, "report") == str(folder)


@pytest.mark.parametrize("name", NAMES)
def test_models_that_are_not_there_are_trained_by_what_is_said(name, draft) -> None:
    folder = draft(name).fill().write()
    (folder / "inference").mkdir()
    remedies = {finding.remedy for finding in deployed(read_run(folder))}
    assert {typed(remedy, "infer") for remedy in remedies} == {str(folder)}
    begun = draft(f"{name} begun", status="interrupted").write()
    with pytest.raises(DamagedRunError) as caught:
        chosen_cells(read_run(begun), [], None)
    assert typed(caught.value.remedy, "run --resume") == str(begun)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_nearly_right_is_told_so_that_it_can_be_typed(name, draft) -> None:
    folder = draft(name).fill().write()
    with pytest.raises(UsageError) as caught:
        find_run(f"{folder}x")
    assert f"Did you mean {shlex.quote(str(folder))}?" in caught.value.remedy
    with pytest.raises(UsageError) as caught:
        find_run(str(folder.parents[1]))
    assert typed(caught.value.remedy, "list runs --out") == str(folder.parents[1])
    assert shlex.quote(str(folder)) in caught.value.remedy


def test_a_report_that_failed_is_made_later_by_what_is_said(tmp_path, capsys) -> None:
    ending.report_on(tmp_path / "my run")
    assert typed(capsys.readouterr().out, "report") == str(tmp_path / "my run")


def test_a_bundle_is_checked_by_what_is_said(tmp_path, capsys) -> None:
    out = tmp_path / "bün dle"
    assert pack.main([str(GOLDEN), "--out", str(out)]) == 0
    assert typed(capsys.readouterr().out, "pack --verify") == str(out)
