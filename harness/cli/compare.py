"""Say how much time, energy and loss run B has of run A, or why that cannot be said."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence

from harness.core.clean_text import say
from harness.core.command_frame import run_command
from harness.core.errors import EXIT_DONE, EXIT_WORSE
from harness.core.parser import Parser, add_include_options
from harness.evidence.comparable import remarks
from harness.evidence.comparing import (
    METRICS,
    Ratio,
    Side,
    compare,
    contradictions,
    disturbed,
    left_out,
    measured_apart,
    no_sensor,
    read_side,
)
from harness.evidence.paired import INTERVAL_WORDS
from harness.evidence.words import hanging, parse_percent

EPILOG = """A and B are run folders or names in results/; with RUN:METHOD, as in
myrun:mas:splits=2, two methods are compared. Ratios are B over A, paired by seed, repeats averaged
first, with the 95 % interval over seeds; two commands that took turns (harness.measure --vs) are
paired by turn. Worse than the threshold is a ratio above 1 by more than it, whose interval leaves
out 1; of one pair, which has no interval, the ratio alone decides. exit status: 0 done; 2 wrong
usage; 6 worse than the threshold; 7 not comparable or damaged."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m harness.compare",
        description="Compare two runs, or two methods, in time, energy and loss.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("a", metavar="A", help="what to compare with: RUN or RUN:METHOD")
    parser.add_argument("b", metavar="B", help="what is compared: RUN or RUN:METHOD")
    parser.add_argument(
        "--metric", metavar="NAME", help=f"{', '.join(METRICS)} [time, energy and loss]"
    )
    parser.add_argument(
        "--threshold", metavar="PERCENT", help="end with 6 if B is worse by more, as in 5%%"
    )
    parser.add_argument(
        "--allow-damaged", action="store_true",
        help="compare runs that contradict their own files, too, and say so",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_include_options(parser)
    return run_command(parser, words, _compare)


def _compare(parsed: Namespace) -> int:
    threshold = parse_percent("--threshold", parsed.threshold) if parsed.threshold else None
    first, second = read_side(parsed.a), read_side(parsed.b)
    ratios = compare(first, second, parsed.metric, allow_damaged=parsed.allow_damaged)
    worse = [r for r in ratios if threshold is not None and r.worse(threshold)]
    notes = _notes(first, second, ratios, parsed.metric)
    notes += [f"DAMAGED, {text}" for text in contradictions(first, second)]
    notes += disturbed(first, second, ratios)
    if parsed.json:
        document = {
            "a": first.run.run_id,
            "b": second.run.run_id,
            "ratios": [r.as_dict() | {"worse": r in worse} for r in ratios],
            "notes": notes,
        }
        print(json.dumps(document, indent=2))
    else:
        say(_text(first, second, ratios, notes))
        if threshold is not None:
            say(_against(threshold, worse))
    return EXIT_WORSE if worse else EXIT_DONE


def _text(first: Side, second: Side, ratios: Sequence[Ratio], notes: Sequence[str]) -> str:
    lines = [f"A  {_name(first)}", f"B  {_name(second)}", ""]
    for ratio in ratios:
        subject = "B" if first.method else ratio.second
        lines.append(hanging("", f"{subject} {ratio.words()}.", 2).lstrip())
    return "\n".join([*lines, "", *(hanging("", note, 2).lstrip() for note in notes)])


def _name(side: Side) -> str:
    return f"{side.run.run_id}{' ' if side.method else ''}{side.method}"


def _notes(first: Side, second: Side, ratios: Sequence[Ratio], wanted: str | None) -> list[str]:
    """Return what a reader must know before quoting the ratios."""
    notes = []
    if any(ratio.low is not None for ratio in ratios):
        notes.append(
            f"Ratios are B over A, each with its {INTERVAL_WORDS}, each on its own:"
            f" not corrected for {len(ratios)} comparison{'' if len(ratios) == 1 else 's'}."
        )
    if words := measured_apart(first, second):
        notes.append(words)
    if words := no_sensor(first, ratios):
        notes.append(words)
    if not wanted and (words := left_out(first, second)):
        notes.append(words)
    if any(ratio.metric.modelled for ratio in ratios):
        notes.append(
            "Modelled figures rest on the device's profile; nothing was measured there."
            + _modelled_interval(first, second)
        )
    changed = remarks(first.run.manifest, second.run.manifest)
    if changed:
        notes.append("They also differ in " + "; ".join(map(str, changed)) + ".")
    return notes


def _modelled_interval(first: Side, second: Side) -> str:
    """Say how good modelled figures are; errors of two models multiply in their ratio."""
    models = [side.run.section("time_model") for side in (first, second)]
    intervals = [model.get("interval") for model in models]
    if not intervals[0]:
        return ""
    if intervals[0] == intervals[1]:
        return f" They are good to {intervals[0]}."
    factors = [model.get("factor") for model in models]
    if not all(isinstance(factor, int | float) for factor in factors):
        return ""
    one, other = map(float, factors)  # type: ignore[arg-type]
    return (
        f" They are of two models, good to ×/÷ {one:g} and ×/÷ {other:g}: a ratio of both may be"
        f" off by ×/÷ {one * other:g}."
    )


def _against(threshold: float, worse: Sequence[Ratio]) -> str:
    limit = f"{100 * threshold:g} %"
    if not worse:
        return f"Nothing is shown to be worse by more than {limit}."
    listed = ", ".join(
        f"{r.metric.column} of {r.second}{'' if r.shown else ' (one pair, may be chance)'}"
        for r in worse
    )
    return hanging("", f"Worse by more than {limit}: {listed}.", 2).lstrip()
