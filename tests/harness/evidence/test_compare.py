"""Ratios are paired by seed and come with an interval, or the comparison is refused."""

import json
import math

import pytest

from harness.cli.compare import main
from harness.evidence.comparing import Ratio, compare, read_side
from harness.run_folder.lock import run_lock

T_2 = 4.302652729911275
"""Student's t, 0.975 quantile for 2 degrees of freedom: √(2·0.975²/(0.975·0.025) …), tabulated."""

SEEDS = {"config": {"seeds": [0, 1, 2], "repeats": 1}}


def run(draft, name: str, value, **sections):
    begun = draft(name, **{**SEEDS, **sections})
    begun.value = value
    return begun.fill().write()


def ratio(first, second, metric: str = "energy_j", method: str = "independent") -> Ratio:
    found = compare(read_side(str(first)), read_side(str(second)), metric)
    (one,) = (r for r in found if r.second == method)
    return one


def test_the_interval_is_students_on_logarithms(draft) -> None:
    """Logs 0.1, 0.2, 0.3: centre 0.2, half-width t·0.1/√3."""
    first = run(draft, "a", lambda m, s, r: 100.0 * (s + 1))
    second = run(draft, "b", lambda m, s, r: 100.0 * (s + 1) * math.exp(0.1 * (s + 1)))
    half = T_2 * 0.1 / math.sqrt(3)
    found = ratio(first, second)
    assert (found.ratio, found.low, found.high) == pytest.approx(
        (math.exp(0.2), math.exp(0.2 - half), math.exp(0.2 + half)), rel=1e-9
    )
    assert found.seeds == [0, 1, 2]
    assert found.words() == "not shown to differ in measured energy: 1.22× (0.95–1.57), n = 3"


def test_swapping_the_runs_inverts_the_ratio(draft) -> None:
    first = run(draft, "a", lambda m, s, r: 100.0 + s)
    second = run(draft, "b", lambda m, s, r: 62.0 + 0.5 * s * s)
    there, back = ratio(first, second), ratio(second, first)
    assert there.ratio * back.ratio == pytest.approx(1.0)
    assert there.low * back.high == pytest.approx(1.0)


def test_repeats_are_averaged_before_they_are_paired(draft) -> None:
    """B's repeats 50 and 74 have the mean 62; three seeds alike are too few to be sure of it."""
    first = run(draft, "a", lambda m, s, r: 100.0)
    sections = {"config": {"seeds": [0, 1, 2], "repeats": 2}}
    second = run(draft, "b", lambda m, s, r: 50.0 + 24.0 * r, **sections)
    found = ratio(first, second)
    assert (found.ratio, found.low, found.high) == (pytest.approx(0.62), None, None)
    assert found.words().startswith("uses 0.62× the measured energy; n = 3: 3 pairs agree")
    assert found.words().endswith("no interval, it may be chance")
    assert not found.shown


def test_only_common_seeds_count(draft) -> None:
    """Seeds 0–2 and 2–4 share one, which has no interval; 0–2 and 7 share none."""
    first = run(draft, "a", lambda m, s, r: 100.0)
    second = run(draft, "b", lambda m, s, r: 80.0, config={"seeds": [2, 3, 4], "repeats": 1})
    third = run(draft, "c", lambda m, s, r: 80.0, config={"seeds": [7], "repeats": 1})
    one = ratio(first, second)
    assert (one.ratio, one.low, one.seeds) == (pytest.approx(0.8), None, [2])
    assert "no interval" in one.words()
    assert ratio(first, third).ratio is None
    assert "nothing can be said" in ratio(first, third).words()


def test_unfinished_cells_do_not_count(draft) -> None:
    first = run(draft, "a", lambda m, s, r: 100.0)
    begun = draft("b", **SEEDS).fill()
    begun.rows[0]["status"] = "failed"
    assert ratio(first, begun.write()).seeds == [1, 2]


@pytest.mark.parametrize(
    ("sections", "fact"),
    [
        ({"device": {"name": "jetson-nano"}}, "device: x86 → jetson-nano"),
        ({"host": {"matches_device": False}}, "host is the device: yes → no"),
        ({"host": {"governor": "powersave"}}, "host governor: performance → powersave"),
        ({"host": {"power_mode": "MAXN"}}, "host power_mode: not recorded → MAXN"),
        (
            {"host": {"clock_limits_hz": {"cpu_max_hz": 1_500_000_000}}},
            "host clock_limits_hz cpu_max_hz: not recorded → 1500000000",
        ),
        ({"host": {"clocks_pinned": True}}, "host clocks_pinned: not recorded → yes"),
        ({"host": {"cpu_model": "other"}}, "host cpu_model: a processor → other"),
        ({"meter": {"name": "plug"}}, "meter name: rapl → plug"),
        ({"meter": {"scope": "wall"}}, "meter scope: package → wall"),
        ({"meter": {"kind": "sampled"}}, "meter kind: counter → sampled"),
        ({"meter": None}, "meter name: rapl → none"),
        ({"data": {"checksum": "cd" * 32}}, "data checksum: abab"),
        ({"config": {"seeds": [0, 1, 2], "repeats": 1, "rounds": 9}}, "config rounds: 10 → 9"),
        ({"config": {"seeds": [0, 1, 2], "repeats": 1, "epochs": 2}}, "config epochs: not rec"),
        ({"threads": 2}, "training threads: 4 → 2"),
        ({"quick": True}, "quick run: no → yes"),
    ],
)
def test_runs_that_differ_in_a_fact_are_refused(sections, fact, draft, capsys) -> None:
    """The fact is named with both values, the status is 7, and no ratio is printed."""
    first = run(draft, "a", lambda m, s, r: 100.0)
    second = run(draft, "b", lambda m, s, r: 100.0, **sections)
    assert main([str(first), str(second)]) == 7
    told = capsys.readouterr()
    assert fact in told.err
    assert "×" not in told.out


def test_energy_of_no_sensor_is_not_called_measured(draft, capsys) -> None:
    meter = {"meter": "simulated", "name": "simulated", "kind": "power", "scope": "made up"}
    first = run(draft, "a", lambda m, s, r: 100.0, meter=meter)
    second = run(draft, "b", lambda m, s, r: 50.0, meter=meter)
    assert main([str(first), str(second)]) == 0
    told = capsys.readouterr().out
    assert "uses 0.50× the made up energy" in told
    assert "is no sensor" in told
    assert "measured energy" not in told


def test_methods_seeds_repeats_and_folders_may_differ(draft, capsys) -> None:
    free = {"methods": ["independent", "tag"], "seeds": [1, 2], "repeats": 2, "out": "elsewhere",
            "cache": "/mnt/cache", "require_meter": True, "meter": "rapl"}  # fmt: skip
    first = run(draft, "a", lambda m, s, r: 100.0)
    second = run(draft, "b", lambda m, s, r: 100.0, config=free)
    assert main([str(first), str(second)]) == 0
    assert "tag" not in capsys.readouterr().out


def test_other_source_and_software_are_told_and_not_refused(draft, capsys) -> None:
    """Comparing two commits is what the command is often used for."""
    first = run(draft, "a", lambda m, s, r: 100.0)
    changed = {
        "source": {"commit": "fedcba"}, "software": {"torch": "2.14.0"},
        "host": {"jetpack": "6.2", "board_hash": "0a1b2c3d", "fan_pwm": 80},
    }  # fmt: skip
    second = run(draft, "b", lambda m, s, r: 100.0, **changed)
    assert main([str(first), str(second)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "source commit: 0123456789abcdef → fedcba" in out
    assert "software torch: 2.13.0 → 2.14.0" in out
    assert "host jetpack: not recorded → 6.2" in out
    assert "host board_hash: not recorded → 0a1b2c3d" in out


def unmeasured(draft, name: str):
    begun = draft(name, **SEEDS).fill()
    for row in begun.rows:
        row |= {"energy_j": None, "energy_error_j": None}
    return begun.write()


def test_measured_and_modelled_energy_are_never_compared(draft, capsys) -> None:
    """Asked for it is refused; unasked it is left out, and said."""
    first, second = draft("a", **SEEDS).fill().write(), unmeasured(draft, "b")
    assert main([str(first), str(second), "--metric", "energy_j"]) == 7
    assert "--metric energy_model_j" in capsys.readouterr().err
    assert main([str(first), str(second)]) == 0
    out = capsys.readouterr().out
    assert "measured in A and not in B" in " ".join(out.split())
    assert "energy," not in out


def test_modelled_energy_is_called_modelled_and_needs_the_same_model(draft, capsys) -> None:
    first, second = unmeasured(draft, "a"), unmeasured(draft, "b")
    asked = [str(first), str(second), "--metric", "energy_model_j"]
    assert main(asked) == 0
    assert "modelled energy" in capsys.readouterr().out
    path = second / "manifest.json"
    path.write_text(path.read_text().replace("65.0", "70.0"))
    assert main(asked) == 7
    assert "energy_model full_load_w: 65.0 → 70.0" in capsys.readouterr().err


def test_two_methods_of_one_run_are_compared(draft, capsys) -> None:
    """MAS takes half of independent by construction, and its name holds a colon."""
    folder = draft("a").fill().write()
    assert main([f"{folder}:independent", f"{folder}:mas:splits=2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (energy,) = (r for r in told["ratios"] if r["metric"] == "energy_j")
    assert energy["ratio"] == pytest.approx(0.5)
    assert (energy["n"], energy["shown_to_differ"]) == (6, True)


@pytest.mark.parametrize(
    ("factor", "threshold", "status"),
    [
        (1.10, "5%", 6), (1.10, "10.1%", 0), (0.5, "5%", 0), (1.0, "0%", 0), (1.10, None, 0),
    ],
)  # fmt: skip
def test_the_threshold_decides_the_status(factor, threshold, status, draft) -> None:
    first = run(draft, "a", lambda m, s, r: 100.0)
    second = run(draft, "b", lambda m, s, r: 100.0 * factor)
    words = [] if threshold is None else ["--threshold", threshold]
    assert main([str(first), str(second), *words]) == status


def test_what_may_be_chance_is_not_worse(draft) -> None:
    """Ratios 0.7, 1.1 and 1.9 have a mean above 1 and an interval around it; one seed has none."""
    factors = (0.7, 1.1, 1.9)
    first = run(draft, "a", lambda m, s, r: 100.0)
    second = run(draft, "b", lambda m, s, r: 100.0 * factors[s])
    assert ratio(first, second).ratio > 1.1
    assert main([str(first), str(second), "--threshold", "5%"]) == 0
    one = {"config": {"seeds": [2], "repeats": 1}}
    alone = run(draft, "c", lambda m, s, r: 190.0, **one)
    assert main([str(first), str(alone), "--threshold", "5%"]) == 6


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["{a}", "{a}"], 2, "the same"),
        (["{a}:independent", "{b}"], 2, "one side"),
        (["{a}:mas:splits=3", "{b}:independent"], 2, "mas:splits=2"),
        (["{a}", "{b}", "--metric", "energy"], 2, "energy_j"),
        (["{a}", "{b}", "--metric", "time_model_s"], 7, "have no time_model_s"),
        (["{a}", "{b}", "--threshold", "5"], 2, "as in 5%"),
        (["{a}", "{b}x"], 2, "Did you mean"),
        (["{a}"], 2, "B"),
    ],
)
def test_wrong_use_is_named(words, status, said, draft, capsys) -> None:
    places = {n: str(run(draft, n, lambda m, s, r: 100.0)) for n in ("a", "b")}
    assert main([word.format(**places) for word in words]) == status
    assert said in capsys.readouterr().err


def test_runs_without_a_common_method_are_refused(draft, capsys) -> None:
    first = run(draft, "a", lambda m, s, r: 100.0)
    other = {"config": {"methods": ["tag"], "seeds": [0], "repeats": 1}}
    assert main([str(first), str(run(draft, "b", lambda m, s, r: 100.0, **other))]) == 7
    assert "A:METHOD B:METHOD" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "helps"),
    [
        ("interrupted", "To go on: python -m harness.run --resume {}"),
        ("running", "To go on: python -m harness.run --resume {}"),
        ("done", "Mend the cause, run again."),
    ],
)
@pytest.mark.parametrize("method", ["", ":independent"])
def test_a_run_without_a_finished_cell_says_how_to_go_on(
    status, helps, method, draft, capsys
) -> None:
    """A run that is done and has none has failed in all; it cannot be gone on with."""
    other = run(draft, "b", lambda m, s, r: 100.0)
    begun = draft("a", status=status, **SEEDS).write()
    assert main([f"{begun}{method}", f"{other}{method}"]) == 7
    told = capsys.readouterr().err
    assert f"{begun}: no cell is finished" in told
    assert helps.format(begun) in told


def test_a_run_whose_first_cell_is_trained_is_waited_for(draft, capsys) -> None:
    begun = draft("a", status="running", **SEEDS).write()
    with run_lock(begun):
        assert main([f"{begun}:independent", f"{begun}:mas:splits=2"]) == 7
    assert "Wait until it is done." in capsys.readouterr().err


def test_ratios_of_disturbed_cells_say_so_and_losses_do_not(draft, capsys) -> None:
    """Of A's three cells of that method one was disturbed; a loss is what it is all the same."""
    first = draft("a", **SEEDS)
    first.fill()
    first.rows[0]["flags"] = "foreign-load+resumed"
    second = run(draft, "b", lambda m, s, r: 62.0 + s)
    names = [str(first.write()), str(second)]
    words = "A: 1 of 3 cells was disturbed (foreign-load)"
    method = first.rows[0]["method"]
    pair = [f"{name}:{method}" for name in names]
    assert main([*pair, "--json"]) == 0
    assert any(note.startswith(words) for note in json.loads(capsys.readouterr().out)["notes"])
    assert main([*pair, "--metric", "total_loss"]) == 0
    assert "disturbed" not in capsys.readouterr().out


def commands(draft, name: str, value):
    """Write a run of two commands that took turns: no seeds, three runs of each."""
    config = {"methods": ["a", "b"], "seeds": [0], "repeats": 3}
    begun = draft(name, config=config, workload="measure", charged_phases=["command"])
    begun.value = value
    begun.fill()
    for row in begun.rows:
        row["cell"] = f"{'ab'.index(row['method'])}-{row['cell']}"
        row["tasks"], row["total_loss"], row["groups"] = "", None, ""
    for phase in begun.phases:
        phase["phase"] = "command" if phase["phase"] == "train" else "own"
    return begun.write()


def test_commands_that_took_turns_are_paired_by_turn(draft) -> None:
    """Logs of b over a are 0.1, 0.2 and 0.3 in the three turns, as of three seeds above."""
    folder = commands(
        draft, "a", lambda m, s, r: 100.0 * (r + 1) * (math.exp(0.1 * (r + 1)) if m == "b" else 1)
    )
    found = compare(
        read_side(f"{folder}:a"), read_side(f"{folder}:b"), "energy_j", allow_damaged=True
    )
    half = T_2 * 0.1 / math.sqrt(3)
    assert (found[0].ratio, found[0].low, found[0].high) == pytest.approx(
        (math.exp(0.2), math.exp(0.2 - half), math.exp(0.2 + half)), rel=1e-9
    )
    assert found[0].seeds == [0, 1, 2]


def test_commands_that_were_measured_apart_are_no_pairs(draft, capsys) -> None:
    first = commands(draft, "a", lambda m, s, r: 100.0 + r)
    second = commands(draft, "b", lambda m, s, r: 50.0 + r)
    main([str(first), str(second), "--allow-damaged", "--metric", "energy_j"])
    told = " ".join(capsys.readouterr().out.split())
    assert "n = 1" in told
    assert "--vs 'OTHER' lets commands take turns" in told
