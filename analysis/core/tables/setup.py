"""Tables 4 and 6: what ran on what, and with which settings; one column per series of runs."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.core.loading import Run
from analysis.core.pooling import series_names
from analysis.core.tables.table import Absent, Content, Heading, Table
from analysis.core.words import data_words, no_energy_words, provenance, source_words

Facts = dict[str, str]
NOT_KNOWN = Absent("The run did not record it.")


def setup_table(runs: Sequence[Run]) -> Table:
    """Return device, host, clocks, meter, software, source and data of every series."""
    return _table(
        "setup",
        "What ran on what: device, host, meter, software and data.",
        runs,
        [setup_facts(run) for run in runs],
    )


def settings_table(runs: Sequence[Run]) -> Table:
    """Return the settings of every series, as its configuration says."""
    named = "as the options of harness.run" if runs[0].manifest.yardstick.objective else ""
    return _table(
        "settings",
        f"Settings of the runs, named {named or 'as their manifests name them'}.",
        runs,
        [_settings(run) for run in runs],
    )


def setup_facts(run: Run) -> Facts:
    """Return the facts of one series by name; what is not known is left out."""
    manifest = run.manifest
    meter = manifest.meter or {}
    facts = {
        "Device": manifest.device_title,
        "Host is the device": "yes" if manifest.host_matches_device else "no",
        "Host": manifest.host_description,
        "Board": manifest.text("host", "model"),
        "Cores": manifest.text("host", "cores"),
        "Training threads": _known(manifest.raw.get("threads")),
        "Training step": manifest.text("step", "execution"),
        "Memory": _gigabytes(manifest.section("host").get("memory_bytes")),
        "Kernel": manifest.text("host", "kernel"),
        "Virtual machine": manifest.text("host", "virtual"),
        "Governor": manifest.text("host", "governor"),
        "Power mode": manifest.text("host", "power_mode"),
        "Temperature at start": _with_unit(manifest.text("host", "temperature_c"), "°C"),
    }
    if meter:
        facts |= {_title(f"meter {key}"): _known(value) for key, value in meter.items()}
    else:
        facts["Meter"] = f"none: {no_energy_words(run)}"
    model = manifest.section("energy_model")
    if model:
        watts = [_with_unit(_known(model.get(key)), "W") for key in ("idle_w", "full_load_w")]
        facts["Energy model"] = f"{watts[0]} idle, {watts[1]} at full load"
        facts["Energy model from"] = _known(model.get("source"))
    for name, version in manifest.section("software").items():
        facts[_title(name)] = _known(version)
    facts["Source"] = source_words(manifest)
    facts["Data"] = data_words(manifest)
    facts["Runs"] = ", ".join(member.run_id for member in run.members)
    return {name: value for name, value in facts.items() if value}


def _settings(run: Run) -> Facts:
    config = {str(key): _known(value) for key, value in run.manifest.section("config").items()}
    found = {
        "methods": ", ".join(run.methods),
        "seeds": ", ".join(str(seed) for seed in sorted(set(run.done["seed"].dropna()))),
        "repeats": str(int(run.done.groupby(["method", "seed"]).size().max()))
        if len(run.done)
        else "",
    }
    return {name: value for name, value in {**config, **found}.items() if value}


def _table(name: str, caption: str, runs: Sequence[Run], facts: Sequence[Facts]) -> Table:
    keys = list(dict.fromkeys(key for own in facts for key in own))
    rows: list[list[Content]] = [[key, *(own.get(key, NOT_KNOWN) for own in facts)] for key in keys]
    names = series_names(runs)
    titles = ["Value"] if len(runs) == 1 else [names[run.run_id] for run in runs]
    return Table(
        name=name,
        timed=False,
        caption=caption,
        headings=[Heading("name", "Name"), *(Heading(_key(title), title) for title in titles)],
        rows=rows,
        provenance=provenance(runs),
    )


def _known(value: object) -> str:
    """Return a value of JSON as text; null and empty are not known."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_known(entry) for entry in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_known(entry)}" for key, entry in value.items())
    return "" if value is None else str(value)


def _gigabytes(value: object) -> str:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{float(str(value)) / 1e9:.1f} GB" if known else ""


def _with_unit(value: str, unit: str) -> str:
    return f"{value} {unit}" if value else ""


def _title(name: str) -> str:
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def _key(title: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in title.lower())
