"""Measure base, worn and merged adapters of a run's cells, one after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.core.errors import DataError
from harness.evidence.reading import RunFiles
from harness.evidence.tables import Row as TableRow
from harness.measurement.cost import Accountant
from harness.measurement.measuring import MeasuringSession, measuring
from harness.measurement.phases import PhaseLog
from harness.records.phases import Label
from harness.running.accelerator import settled_clock
from harness.running.prepare import prepare_torch
from harness.running.target import Target, power_model
from harness.workloads.lora.aggregation.adapters import numbers, rank_of
from harness.workloads.lora.base.opening import OpenedModel, open_corpus, open_model
from harness.workloads.lora.config import LoraConfig
from harness.workloads.lora.data.corpus import Corpus
from harness.workloads.lora.data.letters import EOS
from harness.workloads.lora.data.rows import Row
from harness.workloads.lora.evaluation import Score, score
from harness.workloads.lora.inference import onnx_form
from harness.workloads.lora.inference.adapters_of import TrainedAdapters, merged, read_trained, worn
from harness.workloads.lora.inference.answering import Answering, answer_for, greedy
from harness.workloads.lora.rules import Fitting

ANSWERED = ("base", "worn", "merged", "onnx")


@dataclass(frozen=True)
class AnsweringPlan:
    """Say what is measured: seconds of a window, seconds before it, most tokens of an answer."""

    window_s: float = 2.0
    warm_up_s: float = 0.5
    most_tokens: int = 16


@dataclass(frozen=True)
class _Form:
    """Hold a form of the model: what it is put on, or why it is left out."""

    name: str
    fitting: Fitting | None = None
    rank: int | None = None
    lost: float | None = None
    model_bytes: int = 0
    why_not: str = ""
    client: int | None = None


class AnsweringSession:
    """Hold model and rows of a run, and measure forms of its cells."""

    def __init__(
        self, run: RunFiles, config: LoraConfig, target: Target, asked: AnsweringPlan
    ) -> None:
        """Open the model of the run.

        Raises:
            DataError: if the model is not the one that was trained.
        """
        prepare_torch(target.threads)
        self._run = run
        self._asked = asked
        self._target = target
        self._opened: OpenedModel = open_model(config)
        told = run.section("base").get("checksum")
        if told != self._opened.checksum:
            raise DataError(
                f"the run was trained on the base {str(told)[:12]}, {config.model} is"
                f" {self._opened.checksum[:12]} now",
                "Name the model that it was trained with: --model.",
            )
        self._corpus: Corpus = open_corpus(config, self._opened)
        self._end = EOS if config.embedded else self._opened.model.tokenizer.eos  # type: ignore[attr-defined]

    def measure(
        self, cells: Sequence[TableRow], say: Callable[[Mapping[str, object]], None]
    ) -> list[dict[str, object]]:
        """Return the rows of all cells and forms; `say` hears of each as it is there."""
        rows: list[dict[str, object]] = []
        rate = float(self._run.section("config").get("rate_hz", 10.0))
        log = PhaseLog(settled_clock(self._target.accelerator.kind_here))
        with measuring(self._target.meter, self._target.meter_reason, rate, log) as session:
            session.accountant = Accountant(power_model(self._target), None)
            for cell in cells:
                for form in self._forms(cell):
                    found = self._one(cell, form, session)
                    rows.append(found)
                    say(found)
        return rows

    def _forms(self, cell: TableRow) -> Iterator[_Form]:
        model = self._opened.model
        base = 4 * model.base_parameters
        yield _Form("base", Fitting(), model_bytes=base)
        trained = self._trained(cell)
        client = 0 if str(cell["method"]).partition(":")[0] == "local" else None
        top = max(self._run.section("adapters").get("ranks") or [1])
        found = worn(trained, int(top), client)
        if found is None:
            yield _Form("worn", why_not="all weights were trained: there is no adapter")
        else:
            rank = rank_of(found[0].worn)
            size = base + 4 * numbers(model.shapes, rank)
            yield _Form("worn", found[0], rank, found[1], size, client=client)
        whole = merged(trained, client)
        yield _Form("merged", whole, model_bytes=base, client=client)
        why_not = onnx_form.why_not(model.net)
        yield _Form("onnx", None if why_not else whole, why_not=why_not, client=client)

    def _trained(self, cell: TableRow) -> TrainedAdapters:
        folder = self._run.folder / "checkpoints" / str(cell["cell"])
        files = sorted(folder.glob("*.safetensors"))
        path = files[0] if files else folder / "adapters.safetensors"
        return read_trained(Path(path), self._opened.checksum, self._opened.model.shapes)

    def _one(self, cell: TableRow, form: _Form, session: MeasuringSession) -> dict[str, object]:
        common: dict[str, object] = {
            "run_id": self._run.run_id, "cell": cell["cell"], "method": cell["method"],
            "seed": cell["seed"], "form": form.name, "rank": form.rank, "lost_share": form.lost,
            "threads": self._target.threads,
        }  # fmt: skip
        if form.fitting is None:
            return {**common, "status": "left-out", "reason": form.why_not}
        model = self._opened.model
        model.fit(form.fitting)
        answer: Answering = partial(self._with_torch)
        size = form.model_bytes
        if form.name == "onnx":
            graph = onnx_form.exported(model.net)
            size = len(graph)
            decoder = onnx_form.OnnxDecoder(graph, self._target.threads)
            self._check_parity(decoder)
            answer = partial(_with_onnx, decoder, self._end)
        rows = self._rows(form.client)
        answer_for(answer, rows, self._asked.most_tokens, self._asked.warm_up_s, time.monotonic)
        with session.log.phase(Label("infer", str(cell["cell"]))):
            window = answer_for(
                answer, rows, self._asked.most_tokens, self._asked.window_s, time.monotonic
            )
        (cost,) = session.costs(session.log.segments[-1:])
        measured = cost.reading.energy_j if cost.reading is not None else None
        elsewhere = not self._target.matches
        modelled = None if elsewhere else cost.energy_model_j
        return {
            **common, "queries": window.queries, "tokens": window.tokens, "time_s": window.time_s,
            "tokens_per_s": window.tokens / window.time_s, "latency_p50_s": window.latency_p50_s,
            "energy_j": measured,
            "energy_error_j": cost.reading.error_j if cost.reading is not None else None,
            "energy_model_j": modelled,
            "energy_per_token_j": _by(measured, window.tokens),
            "energy_model_per_token_j": _by(modelled, window.tokens),
            "energy_meter": self._target.meter or "", "energy_reason": session.reason,
            "exact_match": self._exact(form.client), "model_bytes": size, "status": "done",
            "reason": "",
        }  # fmt: skip

    def _rows(self, client: int | None) -> list[Row]:
        owners = self._corpus.clients if client is None else [self._corpus.clients[client]]
        return [row for owner in owners for row in owner.held_out]

    def _exact(self, client: int | None) -> float:
        rows = self._rows(client)
        found: Score = score(self._opened.model, rows, self._corpus.pad)
        return found.exact_match

    def _with_torch(self, prompt: Sequence[int], most: int) -> list[int]:
        return greedy(self._opened.model, prompt, most, self._end)

    def _check_parity(self, decoder: onnx_form.OnnxDecoder) -> None:
        row = self._rows(None)[0]
        ids = [*row.prompt, *row.answer]
        if decoder.greedy(row.prompt, 4, self._end) != greedy(
            self._opened.model, row.prompt, 4, self._end
        ):
            raise DataError(f"the exported graph answers {ids} otherwise than torch")


def _with_onnx(
    decoder: onnx_form.OnnxDecoder, end: int, prompt: Sequence[int], most: int
) -> list[int]:
    return decoder.greedy(prompt, most, end)


def _by(value: float | None, tokens: int) -> float | None:
    return None if value is None else value / tokens
