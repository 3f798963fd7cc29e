"""Every defect of a run is named, with its level, its remedy and the status the shell sees."""

import gzip
import json
import random
import shutil
from pathlib import Path

import pytest

from devices.board_changes import EVENTS
from devices.card_state import LOST, MEMORY_ERRORS, REASONS, RESET_DUE, VIOLATIONS
from devices.card_watch import PREFIX
from harness.cli.check import main
from harness.core.schema import SCHEMA_VERSION
from harness.evidence.cell_flags import FLAGS
from harness.evidence.claims import smallest_p
from harness.evidence.judging import judge
from harness.evidence.stability import coefficient_of_variation

GOLDEN = Path(__file__).parents[2] / "fixtures" / "runs"


def found(folder: Path) -> dict[str, tuple[str, str]]:
    return {f.code: (f.level, f.text) for f in judge(folder).findings}


def test_a_sound_run_is_complete_and_stable(draft, capsys) -> None:
    """Six paired seeds, two repeats within 1 %: no limit, exit 0; the spread is told all the same.

    Repeats 1 and 1.01 of the same value have a coefficient of variation of 0.01/√2/1.005 = 0.7 %.
    """
    folder = draft().fill().write()
    assert main([str(folder)]) == 0
    out = capsys.readouterr().out
    assert "24 of 24 cells done; 2 methods × 6 seeds × 2 repeats" in out
    assert "Verdict: complete and stable." in out
    assert "[spread]" in out
    assert "by up to 0.7 %" in out
    assert {level for level, _ in found(folder).values()} == {"note"}


def test_the_coefficient_of_variation_is_standard_deviation_over_mean() -> None:
    """For two values it is |a − b| / √2 over their mean; for 1, 2, 3 it is 1/2."""
    assert coefficient_of_variation([10.0, 11.0]) == pytest.approx(1 / 2**0.5 / 10.5)
    assert coefficient_of_variation([1.0, 2.0, 3.0]) == pytest.approx(0.5)


def _lines(folder: Path, name: str) -> list[str]:
    return (folder / name).read_text().splitlines(keepends=True)


def _edit_manifest(folder: Path, **values: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _drop_a_cell(folder: Path) -> None:
    (folder / "cells.csv").write_text("".join(_lines(folder, "cells.csv")[:-1]))


def _twice(folder: Path) -> None:
    lines = _lines(folder, "cells.csv")
    (folder / "cells.csv").write_text("".join([*lines, lines[-1]]))


def _tear(folder: Path) -> None:
    path = folder / "phases.csv"
    path.write_bytes(path.read_bytes()[:-4])


def _tear_unfinished(folder: Path) -> None:
    _tear(folder)
    _edit_manifest(folder, status="running")


def _field(name: str, old: str, new: str):
    def change(folder: Path) -> None:
        path = folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


def _gone(name: str):
    return lambda folder: (folder / name).unlink()


def _cut(name: str, size: int = 5):
    def change(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[:-size])

    return change


def _flip(folder: Path) -> None:
    path = folder / "traces" / "independent-s0-r0.csv.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    packed = bytearray(gzip.compress(bytes(content), 0))
    packed[-15] ^= 1  # a byte of stored text, so only the checksum can tell
    path.write_bytes(bytes(packed))


HUGE = {"methods": ["independent"], "seeds": [0], "repeats": 10**12}


@pytest.mark.parametrize(
    ("damage", "status", "said"),
    [
        (_drop_a_cell, 4, "1 of 24 cells are missing: mas:splits=2 seed 5 repeat 1"),
        (_twice, 7, "mas:splits=2 seed 5 repeat 1 is there more than once"),
        (_field("manifest.json", '"mas:splits=2"]', '"tag"]'), 7, "is not in the config"),
        (_field("cells.csv", "a-run", "b-run"), 7, "rows of another run: b-run"),
        (_tear, 7, "phases.csv: the last line is torn"),
        (_tear_unfinished, 4, "phases.csv: the last line is torn"),
        (lambda f: _edit_manifest(f, status="interrupted", reason="a budget"), 4, "a budget"),
        (lambda f: _edit_manifest(f, status="running"), 4, "was broken off"),
        (_field("cells.csv", ",done,", ",failed,"), 4, "independent-s0-r0 is failed"),
        (_field("cells.csv", "100.0", "inf"), 7, "energy_j is no finite number"),
        (_field("cells.csv", "100.0", "much"), 7, "record 2, column energy_j: 'much' is no float"),
        (_field("cells.csv", "total_loss", "loss"), 7, "lacks the column total_loss"),
        (_field("phases.csv", ",0.0,5.0,5.0,", ",0.0,15.0,15.0,"), 7, "its phases add up to 15 s"),
        (_gone("traces/independent-s0-r0.csv.gz"), 7, "independent-s0-r0.csv.gz: missing"),
        (_field("cells.csv", ",0,0,", ",,0,"), 7, "record 2: seed is empty"),
        (lambda f: _edit_manifest(f, config=HUGE), 7, "config lacks methods"),
        (lambda f: shutil.rmtree(f / "traces"), 7, "and 21 more: missing"),
        (_gone("metrics.csv"), 7, "metrics.csv: missing"),
        (_gone("manifest.json"), 7, "it has no manifest.json"),
        (_cut("traces/independent-s0-r0.csv.gz"), 7, "independent-s0-r0.csv.gz: is damaged"),
        (_flip, 7, "is damaged: CRC check failed"),
        (_cut("checkpoints/mas-splits-2-s5-r1/sdnkt.safetensors", 1), 7, "bytes, its head says"),
        (_cut("manifest.json"), 7, "manifest.json: cannot be read"),
        (lambda f: _edit_manifest(f, schema_version=SCHEMA_VERSION + 1), 7, "Update the tool"),
        (lambda f: _edit_manifest(f, schema_version="two"), 7, "not a whole number"),
        (lambda f: _edit_manifest(f, config={}), 7, "config lacks methods"),
        (lambda f: (f / "events.jsonl").write_text("no\n{}\n"), 7, "line 1 is no event"),
    ],
)
def test_damage_and_gaps_are_named(damage, status, said, draft, capsys) -> None:
    """Each defect gives its status, names file and place, and says what to do."""
    folder = draft().fill().write()
    damage(folder)
    assert main([str(folder)]) == status
    out = " ".join(capsys.readouterr().out.split())
    assert said in out
    assert "Verdict: damaged" in out or status == 4


def test_whatever_is_damaged_is_survived(draft) -> None:
    """Bytes changed, cut out or doubled anywhere in any file: a verdict, never a traceback."""
    folder = draft(config={"seeds": [0, 1], "repeats": 1}).fill().write()
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    rng = random.Random(7)
    levels = set()
    for _ in range(300):
        path = rng.choice(paths)
        sound = path.read_bytes()
        at, size = rng.randrange(len(sound)), rng.randint(1, 20)
        other = rng.choice([b"", rng.randbytes(size), b"9" * size, sound[at : at + size] * 2])
        path.write_bytes(sound[:at] + other + sound[at + size :])
        levels |= {finding.level for finding in judge(folder).findings}
        path.write_bytes(sound)
    assert "damaged" in levels


def test_all_damaged_tables_are_named_at_once(draft, capsys) -> None:
    folder = draft().fill().write()
    _gone("metrics.csv")(folder)
    _field("cells.csv", "100.0", "much")(folder)
    assert main([str(folder)]) == 7
    out = capsys.readouterr().out
    assert "metrics.csv" in out
    assert "'much'" in out


@pytest.mark.parametrize(
    ("sections", "code", "level"),
    [
        ({"quick": True}, "quick", "unstable"),
        ({"host": {"matches_device": False}}, "host-not-device", "limit"),
        ({"meter": {"meter": "simulated"}}, "no-sensor", "limit"),
        ({"host": {"clocks_pinned": False}}, "clocks-not-pinned", "limit"),
        ({"source": {"dirty": True}}, "changed-source", "limit"),
        ({"source": {"commit": ""}}, "unknown-source", "note"),
        ({"config": {"order": "fixed"}}, "fixed-order", "limit"),
        ({"config": {"repeats": 1}}, "no-repeats", "limit"),
        ({"config": {"seeds": [0]}}, "few-seeds", "limit"),
        ({"config": {"methods": ["mas:splits=2", "tag"]}}, "no-reference", "limit"),
        ({"idle": {"after_w": 11.5}}, "idle-drift", "unstable"),
        ({"idle": {"after_w": None}}, "idle", "limit"),
    ],
)
def test_what_the_manifest_limits_is_said(sections, code, level, draft) -> None:
    folder = draft(**sections).fill().write()
    assert found(folder)[code][0] == level
    assert main([str(folder)]) == (4 if level == "unstable" else 0)
    assert main([str(folder), "--strict"]) == (0 if level == "note" else 4)


def test_an_idle_drift_within_a_tenth_is_none(draft) -> None:
    assert "idle-drift" not in found(draft(idle={"after_w": 10.9}).fill().write())


@pytest.mark.parametrize(("seeds", "p"), [(3, "0.25"), (5, "0.0625")])
def test_too_few_seeds_can_never_be_significant(seeds: int, p: str, draft) -> None:
    """With n pairs the smallest p is 2 of 2**n sign patterns; with one there is no interval."""
    folder = draft(config={"seeds": list(range(seeds))}).fill().write()
    level, text = found(folder)["few-seeds"]
    assert (level, f"(the smallest possible p is {p})" in text) == ("limit", True)
    assert "no honest test can say 'significant'" in text
    assert smallest_p(seeds) == 2 / 2**seeds


def test_one_seed_has_no_interval(draft) -> None:
    text = found(draft(config={"seeds": [0]}).fill().write())["few-seeds"][1]
    assert "no interval" in text


def test_seeds_count_only_where_both_are_done(draft) -> None:
    """Three of six independent cells failed, so three pairs are left."""
    begun = draft(config={"repeats": 1}).fill()
    for row in begun.rows:
        if row["method"] == "independent" and row["seed"] > 2:
            row["status"] = "failed"
    assert "n = 3 paired" in found(begun.write())["few-seeds"][1]


def test_wide_repeats_are_unstable_and_the_limit_is_the_users(draft, capsys) -> None:
    """Repeats 10 % apart have a spread of 0.1/√2/1.05 = 6.7 %: above 5 %, below 7 %."""
    begun = draft()
    begun.value = lambda method, seed, repeat: 100.0 * (1 + 0.1 * repeat)
    folder = begun.fill().write()
    assert main([str(folder)]) == 4
    out = " ".join(capsys.readouterr().out.split())
    assert "up to 6.7 % (independent seed 0); the limit is 5 %" in out
    assert "passed by 12 of 12" in out
    assert main([str(folder), "--max-spread", "7%"]) == 0


def test_repeats_that_learn_differently_are_not_repeatable(draft) -> None:
    begun = draft().fill()
    begun.rows[0]["total_loss"] += 1e-15 * 4
    level, text = found(begun.write())["not-repeatable"]
    assert level == "unstable"
    assert "independent seed 0" in text


def test_windows_that_are_spoilt_are_named_with_the_reason(draft) -> None:
    begun = draft().fill()
    begun.rows[0] |= {"energy_j": None, "energy_error_j": None, "energy_reason": "a gap of 4 s"}
    begun.phases[2]["flags"] = "wrap+gap"
    begun.phases[4]["flags"] = "wrap+few-samples"
    begun.rows[3]["energy_error_j"] = 0.2 * begun.rows[3]["energy_j"]
    said = found(begun.write())
    assert said["window"] == (
        "unstable", "no valid measured energy in independent-s0-r0: a gap of 4 s"
    )  # fmt: skip
    assert said["gap"] == (
        "unstable", "samples are missing in charged phases of mas-splits-2-s0-r0"
    )  # fmt: skip
    assert "20.0 % of it" in said["energy-error"][1]
    assert "few-samples" not in said


@pytest.mark.parametrize(
    ("kinds", "conditional"),
    [(["counter"], False), (["sampled"], True), (["counter", "sampled"], True),
     (["counter+sampled"], True), ([None], True)],
)  # fmt: skip
def test_the_bound_of_a_counter_has_no_condition(kinds, conditional, draft) -> None:
    """By docs/trust.md it holds whatever the power does; that of an unknown meter may not."""
    begun = draft().fill()
    for number, row in enumerate(begun.rows):
        row["energy_error_j"] = 0.2 * row["energy_j"]
        row["energy_kind"] = kinds[number % len(kinds)]
    text = found(begun.write())["energy-error"][1]
    assert ("no peak lies between" in text) is conditional
    assert "energy_j" in text.split(" is up to 20.0 %")[0]


@pytest.mark.parametrize(
    ("config", "remedy"),
    [
        ({"rounds": 10, "epochs": 2}, "(--rate-hz), or more --rounds."),
        ({"epochs": 2}, "(--rate-hz), or more --epochs."),
        ({}, "(--rate-hz), or measure something that takes longer."),
    ],
)
def test_what_helps_is_an_option_that_the_run_has(config, remedy, draft) -> None:
    begun = draft().fill()
    del begun.manifest["config"]["rounds"]
    begun.manifest["config"] |= config
    for row in begun.rows:
        row["energy_error_j"] = 0.2 * row["energy_j"]
        row["flags"] = "swapped"
    told = {f.code: f.remedy for f in judge(begun.write()).findings}
    assert told["energy-error"].endswith(remedy)
    assert "--batch-size" not in told["swapped"]


def test_energy_that_is_modelled_only_is_a_limit(draft) -> None:
    begun = draft(meter=None, meter_reason="no sensor found").fill()
    for row in begun.rows:
        row |= {"energy_j": None, "energy_error_j": None}
    level, text = found(begun.write())["modelled-only"]
    assert (level, "modelled only" in text, "no sensor found" in text) == ("limit", True, True)


@pytest.mark.parametrize("flag", [*FLAGS, "maybe-throttled", "a-flag-of-tomorrow"])
def test_every_flag_of_a_cell_is_explained(flag: str, draft) -> None:
    begun = draft().fill()
    begun.rows[0]["flags"] = f"{flag}"
    level, text = found(begun.write())[flag]
    assert "in 1 of 24 cells (independent-s0-r0)" in text
    assert level == ("limit" if flag.startswith("maybe-") else FLAGS.get(flag, ("unstable",))[0])


def test_every_flag_that_the_board_can_raise_is_known() -> None:
    """The words of `devices.board_changes`, of `devices.card_state`, and of the run itself."""
    raised = {*EVENTS.values(), "throttled", "power-mode-changed", "governor-changed", "swapped",
              "clocks-changed", "clock-limit-lowered", "foreign-load", "stolen-time", "slept",
              "clock-step", "resumed", "warm-start"}  # fmt: skip
    assert raised <= set(FLAGS)
    of_cards = {*REASONS.values(), *VIOLATIONS.values(), LOST, MEMORY_ERRORS, RESET_DUE}
    assert {f"{PREFIX}{word}" for word in of_cards} <= set(FLAGS)


def test_an_error_that_a_driver_reports_is_told_by_its_number(draft) -> None:
    begun = draft().fill()
    begun.rows[0]["flags"] = "gpu-xid-79"
    level, text = found(begun.write())["gpu-xid-79"]
    assert (level, "reported Xid error 79 of the GPU" in text) == ("unstable", True)


def test_one_measurement_in_two_bills_is_a_limit(draft) -> None:
    """A cell that borrowed a job is named."""
    run = draft().fill()
    run.rows[1]["shared_jobs"] = "sdnkt:0-2<mas-splits-2-s0-r0"
    level, text = found(run.write())["shared"]
    assert level == "limit"
    assert "1 of 24 cells" in text
    assert run.rows[1]["cell"] in text


def test_affinity_that_is_broken_or_missing_is_damage(draft) -> None:
    """Cells of a method that merged have a square matrix with its letters around it."""
    folder = draft(merge={"mas:splits=2": {"merge_rounds": 3}}).fill().write()
    assert "affinity/mas-splits-2-s0-r0.csv, affinity" in found(folder)["file-missing"][1]
    (folder / "affinity").mkdir()
    for seed in range(6):
        for repeat in range(2):
            path = folder / "affinity" / f"mas-splits-2-s{seed}-r{repeat}.csv"
            path.write_text("# mean\ntask,s,d\ns,1.0,nan\nd,0.5,1.0\n")
    assert "file-missing" not in found(folder)
    path.write_text("task,s,d\ns,1.0,0.5\n")
    assert "is no square matrix" in found(folder)["file-damaged"][1]


def test_golden_runs_of_all_versions_can_be_judged() -> None:
    """Their data are sound; that they are tiny and simulated is said."""
    for folder in GOLDEN.glob("schema*"):
        said = found(folder)
        assert "damaged" not in {level for level, _ in said.values()}, said
        assert said["no-sensor"][0] == "limit"


def test_json_holds_what_the_screen_says(draft, capsys) -> None:
    """One object; of several runs the worst status counts."""
    good = draft().fill().write()
    bad = draft("b-run").fill().write()
    _drop_a_cell(bad)
    assert main([str(good), str(bad), "--json"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert told["exit_status"] == 4
    assert [run["exit_status"] for run in told["runs"]] == [0, 4]
    assert told["runs"][1]["verdict"] == "incomplete"
    (missing,) = (f for f in told["runs"][1]["findings"] if f["code"] == "cells-missing")
    assert missing["remedy"].startswith("To go on: python -m harness.run --resume")


def test_a_run_that_goes_on_is_no_broken_one(draft, monkeypatch) -> None:
    folder = draft(status="running").fill().write()
    monkeypatch.setattr("harness.evidence.completeness.is_running", lambda _: True)
    assert found(folder)["running"] == ("incomplete", "the run is still going on")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{}/a-rum"], "Did you mean"),
        (["{}/a-run", "--max-spread", "5"], "as in 5%"),
        (["{}/a-run", "--max-spread=-5%"], "as in 5%"),
        (["{}/a-run", "--max-spread=nan%"], "as in 5%"),
        (["{}/a-run", "--jsn"], "--json"),
        ([], "RUN"),
    ],
)
def test_wrong_use_ends_with_2(words, said, draft, tmp_path, capsys) -> None:
    draft().fill().write()
    assert main([word.format(tmp_path / "results") for word in words]) == 2
    assert said in capsys.readouterr().err


def test_it_fits_80_columns(draft, capsys, monkeypatch, tmp_path) -> None:
    """Long texts are broken; only a path may be longer."""
    folder = draft(quick=True, host={"matches_device": False}, config={"seeds": [0]})
    path = folder.fill().write()
    shutil.copytree(path, tmp_path / "r")
    monkeypatch.chdir(tmp_path)
    main(["r"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize(
    "offsets", ["[0, 1e999]", '["0", 0]', "[0]", "[0, true]", "[8, 0]", "[0, -8]", "{}", "[0, NaN]"]
)
def test_weights_whose_head_is_absurd_are_damaged(draft, offsets) -> None:
    """Whatever a stranger wrote there, `check` says so and goes on."""
    folder = draft().fill().write()
    path = next(folder.glob("checkpoints/*/*.safetensors"))
    head = f'{{"a": {{"dtype": "F32", "shape": [2], "data_offsets": {offsets}}}}}'.encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head)
    assert found(folder)["file-damaged"][0] == "damaged"
