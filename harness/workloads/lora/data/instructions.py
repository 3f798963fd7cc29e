"""Read instructions from files in the form of Alpaca or Dolly, and questions in that of MMLU."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import DataError, MissingPackageError

FORMS = (
    "objects with instruction and output (Alpaca, with input) or response (Dolly, with context"
    " and category)"
)
MOST_BYTES = 4 << 30


@dataclass(frozen=True)
class TextRow:
    """Hold one instruction as text: what is asked, the answer, and its kind."""

    prompt: str
    answer: str
    kind: str = ""


@dataclass(frozen=True)
class TextChoice:
    """Hold a question with its answers, and which is right."""

    prompt: str
    answers: Sequence[str]
    right: int


def read_instructions(path: Path) -> list[TextRow]:
    """Return the rows of a file; what it is in is read from it, not from its name but for parquet.

    Raises:
        DataError: naming the file, and the record that is not as it should be.
    """
    found = [_row(path, number, record) for number, record in enumerate(_records(path), 1)]
    if not found:
        raise DataError(f"{path} holds no rows", f"It should hold {FORMS}.")
    return found


def _row(path: Path, number: int, record: object) -> TextRow:
    if not isinstance(record, dict):
        raise DataError(f"{path}, record {number}: is no object", f"Records are {FORMS}.")
    answer = record.get("output", record.get("response"))
    asked, more = record.get("instruction"), record.get("input", record.get("context", ""))
    if not isinstance(asked, str) or not isinstance(answer, str):
        missing = "instruction" if not isinstance(asked, str) else "output or response"
        raise DataError(f"{path}, record {number}: has no text {missing}", f"Records are {FORMS}.")
    if not answer.strip():
        raise DataError(f"{path}, record {number}: its answer is empty", "Leave the record out.")
    kind = record.get("category")
    return TextRow(prompt_of(asked, more if isinstance(more, str) else ""), answer,
                   kind if isinstance(kind, str) else "")  # fmt: skip


def prompt_of(instruction: str, context: str = "") -> str:
    """Return what a model is asked, as Alpaca writes it."""
    more = f"\n\n### Input:\n{context.strip()}" if context.strip() else ""
    return f"### Instruction:\n{instruction.strip()}{more}\n\n### Response:\n"


def _records(path: Path) -> Iterable[object]:
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    content = _content(path).lstrip()
    try:
        if content.startswith("["):
            listed = json.loads(content)
            return listed if isinstance(listed, list) else []
        return [json.loads(line) for line in content.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: is neither a JSON list nor JSON lines: {error}", f"Records are {FORMS}."
        ) from None


def _content(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path} is larger than {MOST_BYTES >> 30} GiB", "Give fewer rows.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", "Name a JSON or JSONL file.") from None


def _parquet(path: Path) -> list[object]:
    try:
        from pyarrow import parquet  # noqa: PLC0415 - only for this kind of file
    except ModuleNotFoundError:
        raise MissingPackageError(
            "parquet needs the package pyarrow",
            "pip install 'mas-edge-harness[parquet]', or give JSON lines.",
        ) from None
    try:
        rows: list[object] = parquet.read_table(path).to_pylist()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is no parquet file: {error}", f"It holds {FORMS}.") from None
    return rows


def read_choices(path: Path) -> list[TextChoice]:
    """Return questions: JSON with question, choices, answer; or MMLU's CSV of six fields.

    Raises:
        DataError: naming the record that is not as it should be.
    """
    if path.suffix.lower() == ".csv":
        lines = csv.reader(_content(path).splitlines())
        records: Iterable[object] = (
            {"question": x[0], "choices": x[1:-1], "answer": x[-1]} for x in lines if x
        )
    else:
        records = _records(path)
    found = [_choice(path, number, record) for number, record in enumerate(records, 1)]
    if not found:
        raise DataError(f"{path} holds no questions", "Give the form of MMLU.")
    return found


def _choice(path: Path, number: int, record: object) -> TextChoice:
    told: Mapping[str, Any] = record if isinstance(record, dict) else {}
    question, answers, right = told.get("question"), told.get("choices"), told.get("answer")
    if isinstance(right, str) and len(right.strip()) == 1 and right.strip().isalpha():
        right = ord(right.strip().upper()) - ord("A")
    good = (
        isinstance(question, str)
        and isinstance(answers, list)
        and len(answers) > 1
        and all(isinstance(a, str) and a for a in answers)
        and type(right) is int
        and 0 <= right < len(answers)
    )
    if not good:
        raise DataError(
            f"{path}, record {number}: is no question with choices and the right answer",
            'As {"question": "…", "choices": ["…", "…"], "answer": 0}, or MMLU\'s CSV.',
        )
    assert isinstance(question, str)
    assert isinstance(answers, list)
    assert isinstance(right, int)
    return TextChoice(prompt_of(question), answers, right)
