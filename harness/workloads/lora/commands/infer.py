"""Measure what answering costs: base, base and adapter, merged, ONNX."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from harness.config import PATHS, check_values, make_config
from harness.core.clean_text import say
from harness.core.command_frame import run_command
from harness.core.errors import EXIT_DONE, DamagedRunError, UsageError
from harness.core.parser import Parser
from harness.core.shell_words import own_path
from harness.evidence.foreign import refuse_foreign
from harness.evidence.reading import RunFiles, find_run, read_run
from harness.evidence.tables import Row
from harness.run_folder.lock import busy, is_running
from harness.workloads.lora.config import LoraConfig
from harness.workloads.lora.workload import WORKLOAD

EPILOG = """Prompts are the clients' held-out ones, answered one after another, each token from the
whole row (no cache of keys and values). merged has the update in the base's own weights; worn keeps
the adapter beside it; where the update is no adapter (stacked, dense) it wears the nearest of the
largest client's rank, and lost_share says what that lacks. Results: answers.csv in the run folder.
exit status: 0 done, 2 wrong usage, 3 meter missing, 7 damaged run folder, 9 data cannot be read."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m harness.infer",
        description="Measure tokens a second and joules a token of a fine-tuning run's models.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="run folder, or a name in results/")
    add("--methods", "--method", dest="methods", metavar="LIST", help="methods of the run [all]")
    add("--seeds", metavar="LIST", help="learning seeds, or all [the first]")
    add("--model", metavar="NAME", help="where the model lies now [as in the run]")
    add("--data", metavar="NAME", help="where its rows lie now [as in the run]")
    add("--meter", metavar="NAME", default="auto", help="meter to use, auto or none [auto]")
    add("--require-meter", action="store_true", help="stop unless energy can be measured")
    add("--threads", type=int, default=0, metavar="N", help="processor threads [as in the run]")
    add("--window", type=float, default=2.0, metavar="SECONDS", help="least length of a window [2]")
    add("--tokens", type=int, default=16, metavar="N", help="most tokens of an answer [16]")
    add("--quick", action="store_true", help="short windows to see that all works")
    return run_command(parser, words, _infer)


def _infer(parsed: Namespace) -> int:
    run = read_run(find_run(parsed.run))
    if is_running(run.folder):
        raise busy(run.folder)
    if not 0.01 <= parsed.window <= 3600.0 or not 1 <= parsed.tokens <= 10_000:
        raise UsageError("--window must be 0.01 to 3600 seconds, and --tokens 1 to 10000")
    cells = chosen(run, parsed.methods, parsed.seeds)
    config = _config(run, parsed)
    from harness.running.target import resolve_target  # noqa: PLC0415 - errors answer without it

    target = resolve_target(config)
    from harness.run_folder.results import csv_text, write_atomically  # noqa: PLC0415
    from harness.workloads.lora.inference.session import (  # noqa: PLC0415 - imports torch
        AnsweringPlan,
        AnsweringSession,
    )
    from harness.workloads.lora.inference.tables import ANSWERS, FILE  # noqa: PLC0415

    window_s = 0.2 if parsed.quick else parsed.window
    asked = AnsweringPlan(window_s, min(0.5, window_s / 4), parsed.tokens)
    session = AnsweringSession(run, config, target, asked)
    joules = "J/token" if target.meter else "~J/token"
    say(f"{'method':<12}{'seed':>5}  {'form':<7}{'rank':>5}{'lost':>7}{'tokens/s':>10}"
        f"{joules:>11}  {'exact':>6}")  # fmt: skip
    rows = session.measure(cells, lambda row: say(_line(row)))
    path = run.folder / FILE
    write_atomically(path, csv_text(ANSWERS, rows).encode())
    say("Every token reads its row anew: there is no key-value cache.")
    if not target.meter:
        say("~ modelled from the device profile, not measured")
    say(f"\nResults  {path}")
    return EXIT_DONE


def _line(row: Mapping[str, object]) -> str:
    start = f"{str(row['method'])[:11]:<12}{row['seed']:>5}  {row['form']:<7}"
    if row["status"] != "done":
        return f"{start}  left out: {row['reason']}"
    joules = row["energy_per_token_j"] or row["energy_model_per_token_j"]
    shown = f"{joules:.3g}" if isinstance(joules, float) else "–"
    rank = "" if row["rank"] is None else str(row["rank"])
    lost = f"{row['lost_share']:.3f}" if isinstance(row["lost_share"], float) else ""
    return (
        f"{start}{rank:>5}{lost:>7}{row['tokens_per_s']:>10.1f}{shown:>11}"
        f"  {row['exact_match']:>6.3f}"
    )


def chosen(run: RunFiles, methods: str | None, seeds: str | None) -> list[Row]:
    """Return the finished cells meant: of all methods the first seed, or those named.

    Raises:
        UsageError: if there is none.
    """
    named = None if methods is None else [m.strip() for m in methods.split(",")]
    done = [r for r in run.done if r["repeat"] == 0 and (named is None or r["method"] in named)]
    if seeds != "all" and done:
        try:
            wanted = (
                {min(int(r["seed"]) for r in done)}
                if seeds is None
                else {int(word) for word in seeds.split(",")}
            )
        except ValueError:
            raise UsageError(f"--seeds: cannot read '{seeds}'", "As in 0,2 or all.") from None
        done = [r for r in done if int(r["seed"]) in wanted]
    if not done:
        known = ", ".join(dict.fromkeys(str(r["method"]) for r in run.done)) or "none"
        raise UsageError("no finished cell of the run is meant", f"Its methods are: {known}")
    return done


def _config(run: RunFiles, parsed: Namespace) -> LoraConfig:
    values = check_values(run.section("config"), str(run.folder / "manifest.json"), LoraConfig)
    places = {key: own_path(values[key]) for key in PATHS if values.get(key)}
    typed = {name: getattr(parsed, name) for name in ("model", "data")}
    reaching = {key: value for key, value in {**values, **places}.items() if key in typed}
    refuse_foreign(run.folder, reaching, typed, WORKLOAD.owns_cache, asdict(LoraConfig()))
    own = {
        "meter": parsed.meter, "require_meter": parsed.require_meter, "board_python": "",
        "text": "", "choices_file": "", "cache": "",
    }  # fmt: skip
    if parsed.threads:
        own["threads"] = parsed.threads
    for name in ("model", "data"):
        if getattr(parsed, name) is not None:
            own[name] = getattr(parsed, name)
    ranks = run.section("adapters").get("ranks")
    if not isinstance(ranks, list):
        raise DamagedRunError(f"{run.folder / 'manifest.json'}: names no ranks", "Restore it.")
    fixed = {"ranks": ",".join(map(str, ranks)), "device": "auto"}
    return make_config(LoraConfig, {**values, **places, **fixed, **own})
