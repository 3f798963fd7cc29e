"""Say whether runs are complete, valid and stable, and what may be claimed with them."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence

from harness.core.clean_text import say
from harness.core.command_frame import run_command
from harness.core.parser import Parser, add_include_options
from harness.evidence.comparable import apart_words
from harness.evidence.findings import exit_status, verdict
from harness.evidence.judging import Judgement, judge
from harness.evidence.reading import find_run
from harness.evidence.stability import SPREAD_LIMIT
from harness.evidence.words import hanging, parse_percent

EPILOG = """incomplete and unstable runs are not fit for a paper; a limit names a claim that a run
cannot carry. exit status: 0 complete and stable; 2 wrong usage; 4 incomplete or unstable;
7 damaged or of another schema version."""

INDENT = 12


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status, the worst of all runs."""
    parser = Parser(
        prog="python -m harness.check",
        description="Say whether runs are complete, valid and stable enough for a paper.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folder, or a name in results/")
    parser.add_argument(
        "--max-spread", default=f"{100 * SPREAD_LIMIT:g}%", metavar="PERCENT",
        help="standard deviation over mean that repeats may have [%(default)s]",
    )  # fmt: skip
    parser.add_argument("--strict", action="store_true", help="limits count as unstable too")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_include_options(parser)
    return run_command(parser, words, _check)


def _check(parsed: Namespace) -> int:
    limit = parse_percent("--max-spread", parsed.max_spread)
    judgements = [judge(folder, limit) for folder in [find_run(text) for text in parsed.runs]]
    statuses = [exit_status(j.findings, strict=parsed.strict) for j in judgements]
    status = max(statuses)  # 7 is worse than 4, 4 than 0
    readable = [(j.run.run_id, j.run.manifest) for j in judgements if j.run is not None]
    words = apart_words(readable) if readable else []
    if parsed.json:
        runs = [j.as_dict() | {"exit_status": s} for j, s in zip(judgements, statuses, strict=True)]
        print(json.dumps({"exit_status": status, "runs": runs, "apart": words}, indent=2))
    else:
        say("\n\n".join([*map(_text, judgements), *(hanging("", w, 2).lstrip() for w in words)]))
    return status


def _text(judgement: Judgement) -> str:
    lines = [str(judgement.folder), f"  {judgement.size}"]
    for finding in judgement.findings:
        lines.append(hanging(f"  {finding.level}", f"{finding.text} [{finding.code}]", INDENT + 2))
        if finding.remedy:
            lines.append(hanging("", finding.remedy, INDENT + 4))
    lines.append(f"Verdict: {verdict(judgement.findings)}.")
    return "\n".join(lines)
