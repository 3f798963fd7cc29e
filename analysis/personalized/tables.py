"""Tables of personalised models: accuracy beside its controls, teachers, device classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from analysis.core.loading import Run
from analysis.core.numbers import joules_origin, summarise
from analysis.core.tables.fields import MethodColumn, method_rows_table
from analysis.core.tables.table import Absent, Content, Heading, Table
from analysis.core.words import provenance, spread_words
from analysis.personalized.frames import (
    CONTROL,
    REFERENCE,
    accuracies,
    by_seed,
    clients,
    differences,
    measure,
)

KILO = 1e-3
NO_TEACHERS = Absent("The method puts no teachers together.")


def accuracy_table(runs: Sequence[Run]) -> Table | None:
    """Return accuracy of each method with its difference from local and from the control."""

    def difference(other: str) -> Callable[[Run, str], Content]:
        def read(run: Run, method: str) -> Content:
            if method == other:
                return Absent(f"{other} itself.")
            found = summarise(differences(run, method, other, accuracies(run)), 100.0)
            return found or Absent(f"{other} did not run: nothing can be said without it.")

        return read

    columns = [
        MethodColumn(Heading("accuracy_percent", "Accuracy", "%", "high"), _accuracy),
        MethodColumn(
            Heading("minus_local_points", "− local", "points", "high"), difference(REFERENCE)
        ),
        MethodColumn(
            Heading("minus_smooth_points", "− smooth", "points", "high"), difference(CONTROL)
        ),
        MethodColumn(
            Heading("worst_percent", "Worst client", "%", "high"),
            _of_measure("accuracy_worst", 100.0),
        ),
        MethodColumn(
            Heading("sd_clients_points", "Spread over clients", "points", "low"),
            _of_measure("accuracy_sd_clients", 100.0),
        ),
        MethodColumn(Heading("start_percent", "Before local training", "%", "high"), _start),
    ]
    words = (
        "Mean test accuracy of the clients' own networks after the last round, as they have trained"
        " them. smooth is the control whose teacher knows nothing: what a method gains over it is"
        f" what its teacher teaches. Differences are paired by seed. {spread_words(runs)}"
    )
    return method_rows_table("accuracy", words, runs, columns)


def _accuracy(run: Run, method: str) -> Content:
    return summarise(by_seed(run, method, accuracies(run)).values(), 100.0)


def _start(run: Run, method: str) -> Content:
    return summarise(by_seed(run, method, measure(run, "start_accuracy")).values(), 100.0)


def _of_measure(name: str, scale: float, absent: Absent | None = None) -> Callable[..., Content]:
    def read(run: Run, method: str) -> Content:
        found = summarise(by_seed(run, method, measure(run, name)).values(), scale)
        return found or absent or Absent()

    return read


def teacher_table(runs: Sequence[Run]) -> Table | None:
    """Return what teachers are and cost, of methods that put some together."""

    def of(name: str, scale: float = 1.0) -> Callable[..., Content]:
        return _of_measure(name, scale, NO_TEACHERS)

    columns = [
        MethodColumn(Heading("ratio_mean", "Size, mean", "× own", "low"), of("teacher_ratio_mean")),
        MethodColumn(
            Heading("ratio_max", "Size, largest", "× own", "low"), of("teacher_ratio_max")
        ),
        MethodColumn(Heading("violations", "Over the limit", "", "low"), of("limit_violations")),
        MethodColumn(
            Heading("teacher_percent", "Teacher's accuracy", "%", "high"),
            of("teacher_accuracy_mean", 100.0),
        ),
        MethodColumn(
            Heading("without", "Client-rounds without", "", "low"), of("rounds_without_teacher")
        ),
        MethodColumn(Heading("searched", "Chains found"), of("candidates_searched")),
        MethodColumn(Heading("tried", "Candidates tried"), of("candidates_tried")),
    ]
    shown = [run for run in runs if len(measure(run, "candidates_tried"))]
    if not shown:
        return None
    words = f"Teachers: their size by that of their client's network. {spread_words(shown)}"
    return method_rows_table("teachers", words, shown, columns)


def party_table(runs: Sequence[Run]) -> Table | None:
    """Return the bill of server and clients, and what travels."""
    columns = [
        MethodColumn(Heading("clients_s", "Clients", "s", "low"), _clients_time),
        MethodColumn(Heading("server_s", "Server", "s", "low"), _of_measure("server_time_s", 1.0)),
        MethodColumn(
            Heading("server_j", f"Server, {joules_origin(runs)}", "J", "low"),
            _of_measure("server_energy_j", 1.0),
        ),
        MethodColumn(
            Heading("server_model_j", "Server, modelled", "J", "low"),
            _of_measure("server_energy_model_j", 1.0),
        ),
        MethodColumn(Heading("upload_kb", "Up", "kB", "low"), _bytes("upload_bytes")),
        MethodColumn(Heading("download_kb", "Down", "kB", "low"), _bytes("download_bytes")),
    ]
    words = f"Who pays: charged seconds of clients and server, bytes of all. {spread_words(runs)}"
    return method_rows_table("parties", words, runs, columns)


def _clients_time(run: Run, method: str) -> Content:
    sums = clients(run).groupby("cell")["time_s"].sum().astype("float64")
    return summarise(by_seed(run, method, sums).values())


def _bytes(name: str) -> Callable[[Run, str], Content]:
    def read(run: Run, method: str) -> Content:
        values = run.done.set_index("cell")[name].astype("float64").dropna()
        return summarise(by_seed(run, method, values).values(), KILO)

    return read


def device_table(runs: Sequence[Run]) -> Table | None:
    """Return what a personalised model costs and is worth, by method and device class.

    A class is a family of networks, with the device its clients stand for if they stand for one.
    """
    rows: list[list[Content]] = []
    for run in runs:
        frame = clients(run)
        for method in run.methods:
            rows += _device_rows(run, frame, method, several=len(runs) > 1)
    if not rows:
        return None
    keys = [Heading("run", "Run")] if len(runs) > 1 else []
    headings = [
        *keys,
        Heading("method", "Method"),
        Heading("class", "Network"),
        Heading("parameters", "Parameters"),
        Heading("accuracy_percent", "Accuracy", "%", "high"),
        Heading("minus_local_points", "− local", "points", "high"),
        Heading("energy_j", "Measured", "J", "low"),
        Heading("energy_model_j", "Modelled", "J", "low"),
        Heading("model_j_per_point", "Modelled, per point over local", "J", "low"),
        Heading("memory_model_mb", "Memory, modelled", "MB", "low"),
    ]
    words = (
        "One personalised model by the class of its device: joules of its client alone, all rounds,"
        " and the joules beyond those of local training that a point of accuracy over it took."
        f" Means over the clients of a class. {spread_words(runs)}"
    )
    return Table(
        "device_classes", words, headings, rows, provenance(runs), key_columns=len(keys) + 2
    )


def _device_rows(
    run: Run, frame: pd.DataFrame, method: str, *, several: bool
) -> list[list[Content]]:
    keys = ["seed", "client", "repeat"]
    own = frame[frame["method"] == method]
    base = frame[frame["method"] == REFERENCE].set_index(keys)
    pairs = own.join(base[["accuracy", "energy_model_j"]], on=keys, rsuffix="_local")
    found: list[list[Content]] = []
    for (family, device), part in pairs.groupby(["family", "device"], sort=False, dropna=False):
        gain = _per_seed(
            part, part["accuracy"].astype(float) - part["accuracy_local"].astype(float)
        )
        more = _per_seed(part, part["energy_model_j"] - part["energy_model_j_local"])
        name = f"{family}, {device}" if isinstance(device, str) and device else str(family)
        start: list[Content] = [run.run_id] if several else []
        found.append(
            [
                *start,
                method,
                name,
                f"{int(part['parameters'].iloc[0]):,}",
                summarise(_per_seed(part, part["accuracy"]), 100.0),
                Absent("local itself.") if method == REFERENCE else summarise(gain, 100.0),
                summarise(_per_seed(part, part["energy_j"])),
                summarise(_per_seed(part, part["energy_model_j"])),
                _per_point(gain, more, method),
                summarise(_per_seed(part, part["memory_model_bytes"]), 1e-6),
            ]
        )
    return found


def _per_seed(part: pd.DataFrame, values: pd.Series[float]) -> list[float]:
    frame = pd.DataFrame({"seed": part["seed"], "value": values.astype("float64")}).dropna()
    return frame.groupby("seed")["value"].mean().tolist()


def _per_point(gain: list[float], more: list[float], method: str) -> Content:
    """Return the joules per point of the means: of single seeds a difference may be about 0."""
    if method == REFERENCE or not gain or not more:
        return Absent("local itself.")
    mean_gain, mean_more = sum(gain) / len(gain), sum(more) / len(more)
    if mean_gain <= 0:
        return Absent("No more accurate than local.")
    return summarise([mean_more / (100.0 * mean_gain)])
