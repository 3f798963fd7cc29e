"""Set the methods of a run beside training anew, and say in words what came of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.workloads.unlearning.judging.rules import break_even

Row = dict[str, Any]
REFERENCE = "retrain"
ENERGY, TIME = "measured energy", "time"


def compared(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return rows of the summary with what each costs against training anew.

    Compared are cells of one seed, repeat, board and scenario; measured joules if both have them,
    else seconds, never one with the other.
    """
    references = {_place(row): row for row in rows if str(row["method"]) == REFERENCE}
    return [{**row, **_against(row, references.get(_place(row)))} for row in rows]


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["seed"], row["repeat"], row["scenario"], row.get("board")


def _against(row: Mapping[str, Any], reference: Mapping[str, Any] | None) -> Row:
    if reference is None:
        return {}
    kind = "energy_j"
    needed = (f"setup_{kind}", f"request_{kind}")
    if any(each[name] is None for each in (row, reference) for name in needed):
        kind = "time_s"
    own, other = ((x[f"setup_{kind}"], x[f"request_{kind}"]) for x in (row, reference))
    ratio = own[1] / other[1] if other[1] else None
    pays = 0.0 if row is reference else break_even(*own, *other)
    return {
        "cost_basis": ENERGY if kind == "energy_j" else TIME,
        "ratio_to_retrain": ratio,
        "break_even_requests": pays,
    }


def pays_words(requests: float | None) -> str:
    """Return from which request on a method pays, in words."""
    if requests is None:
        return "–"
    if math.isinf(requests):
        return "never"
    return str(max(1, math.ceil(requests)))


def mean_of(rows: Iterable[Mapping[str, Any]], name: str) -> float | None:
    """Return the mean of a column over seeds, repeats averaged first; None if a row has none."""
    found: dict[object, list[float | None]] = {}
    for row in rows:
        found.setdefault(row.get("seed"), []).append(row.get(name))
    seeds = [[float(value) for value in own if value is not None] for own in found.values()]
    if not seeds or any(None in own for own in found.values()):
        return None
    return math.fsum(math.fsum(own) / len(own) for own in seeds) / len(seeds)


def grouped(rows: Sequence[Mapping[str, Any]], *names: str) -> dict[tuple[Any, ...], list[Any]]:
    """Return the rows by the values of some columns, in the order in which they come."""
    found: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return found


def completeness_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what may be said of several seeds together: the worst that one of them shows."""
    words = [str(row["completeness"]) for row in rows]
    order = ("not forgotten", "not known", "approximate", "exact")
    return min(words, key=lambda w: next(n for n, o in enumerate(order) if w.startswith(o)))


def sentences(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what a run shows, with completeness beside every utility, in full sentences."""
    found = []
    for (scenario,), own in grouped(rows, "scenario").items():
        methods = grouped(own, "method")
        basis = "joules" if all(r.get("cost_basis") == ENERGY for r in own) else "seconds"
        said = [_method_words(str(m), each, basis) for (m,), each in methods.items()
                if str(m) != REFERENCE]  # fmt: skip
        if said:
            found.append(f"{scenario}, against training anew: {'; '.join(said)}.")
    return found


def _method_words(method: str, rows: Sequence[Mapping[str, Any]], basis: str) -> str:
    ratio, ndcg = mean_of(rows, "ratio_to_retrain"), mean_of(rows, "ndcg_20")
    cost = "cost not compared" if ratio is None else f"{ratio:.3g} of its {basis}"
    utility = "" if ndcg is None else f", NDCG@20 {ndcg:.3f}"
    return f"{method} {cost}{utility}, {completeness_words(rows)}"
