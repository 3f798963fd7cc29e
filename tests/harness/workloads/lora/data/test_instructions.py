"""Rows of files in the forms of Alpaca, Dolly and MMLU, and how they are dealt."""

import json
import sys

import numpy as np
import pytest

from harness.core.errors import DataError, MissingPackageError
from harness.workloads.lora.data.generated import Dealing, deal
from harness.workloads.lora.data.instructions import (
    TextChoice,
    prompt_of,
    read_choices,
    read_instructions,
)
from harness.workloads.lora.data.rows import IGNORED, Row, batch_sizes, batches, collate
from harness.workloads.lora.data.splitting import deal_out
from harness.workloads.lora.data.tokenized import Encoder

ALPACA = {"instruction": "Add.", "input": "1 and 2", "output": "3"}
DOLLY = {"instruction": "Who?", "context": "", "response": "Ada.", "category": "open_qa"}


@pytest.mark.parametrize("form", ["list", "lines"])
def test_alpaca_and_dolly_are_read_from_lists_and_lines(tmp_path, form):
    file = tmp_path / "rows.json"
    records = [ALPACA, DOLLY]
    file.write_text(
        json.dumps(records) if form == "list" else "\n".join(map(json.dumps, records)) + "\n"
    )
    one, two = read_instructions(file)
    assert one.prompt == "### Instruction:\nAdd.\n\n### Input:\n1 and 2\n\n### Response:\n"
    assert (one.answer, one.kind) == ("3", "")
    assert (two.prompt, two.answer, two.kind) == (prompt_of("Who?"), "Ada.", "open_qa")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rows"),
        ("[1]", "record 1"),
        ('{"instruction": "x"}', "output or response"),
        ('{"output": "x"}', "instruction"),
        ('{"instruction": "x", "output": " "}', "empty"),
        ("{not json", "JSON"),
    ],
)
def test_other_files_are_refused_with_the_record(tmp_path, text, said):
    file = tmp_path / "rows.json"
    file.write_text(text)
    with pytest.raises(DataError) as told:
        read_instructions(file)
    assert said in told.value.message + told.value.remedy
    with pytest.raises(DataError, match="cannot be read"):
        read_instructions(tmp_path / "nowhere.json")


def test_a_parquet_file_gives_the_rows_of_its_json(tmp_path):
    """A table of Dolly's columns, written by pyarrow; a file of another kind is refused."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet  # noqa: PLC0415

    records = [DOLLY, {**DOLLY, "context": "Of Byron.", "category": "closed_qa"}]
    parquet.write_table(pa.Table.from_pylist(records), tmp_path / "rows.parquet")
    (tmp_path / "rows.json").write_text(json.dumps(records))
    assert read_instructions(tmp_path / "rows.parquet") == read_instructions(tmp_path / "rows.json")
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match="no parquet file"):
        read_instructions(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="nowhere"):
        read_instructions(tmp_path / "nowhere.parquet")


def test_parquet_without_its_package_names_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackageError) as told:
        read_instructions(tmp_path / "rows.parquet")
    assert "[parquet]" in told.value.remedy


def test_questions_are_read_in_both_forms(tmp_path):
    wanted = [TextChoice(prompt_of("2+2?"), ["3", "4", "5", "6"], 1)]
    table = tmp_path / "q.csv"
    table.write_text("2+2?,3,4,5,6,B\n")
    assert read_choices(table) == wanted
    lines = tmp_path / "q.jsonl"
    lines.write_text('{"question": "2+2?", "choices": ["3", "4", "5", "6"], "answer": 1}\n')
    assert read_choices(lines) == wanted
    lines.write_text('{"question": "2+2?", "choices": ["3"], "answer": 4}\n')
    with pytest.raises(DataError, match="record 1"):
        read_choices(lines)


def test_every_row_is_dealt_once_and_evenness_decides_how():
    kinds = ["a"] * 300 + ["b"] * 300

    def shares(evenness):
        dealt = deal_out(kinds, 3, evenness, np.random.default_rng(0))
        assert sorted(row for own in dealt for row in own) == list(range(600))
        return [sum(row < 300 for row in own) / max(1, len(own)) for own in dealt]

    assert max(abs(share - 0.5) for share in shares(1e6)) < 0.01
    assert max(abs(share - 0.5) for share in shares(0.05)) > 0.2
    assert max(abs(share - 0.5) for share in shares(None)) < 0.15


class Letters:
    """A tokenizer of one id a letter."""

    eos = pad = 0

    def ids(self, text):
        return [ord(letter) for letter in text]


def test_a_long_prompt_loses_its_beginning_and_an_answer_nothing():
    from harness.workloads.lora.data.instructions import TextRow  # noqa: PLC0415

    encoder = Encoder(Letters(), 6)
    row = encoder.row(TextRow("abcdef", "xy"))
    assert row.prompt == tuple(map(ord, "def"))
    assert row.answer == (ord("x"), ord("y"), 0)
    assert encoder.row(TextRow("a", "uvwxyz")) is None
    assert (encoder.truncated, encoder.dropped) == (1, 1)
    assert len(encoder.said()) == 2


def test_a_batch_predicts_the_next_token_and_masks_prompts_and_padding():
    batch = collate([Row((1, 2), (3, 4)), Row((5,), (6,))], 0)
    assert batch.inputs.tolist() == [[1, 2, 3], [5, 0, 0]]
    assert batch.targets.tolist() == [[IGNORED, 3, 4], [6, IGNORED, IGNORED]]
    assert (batch.tokens, batch.padded) == (4, 2)
    whole = collate([Row((1, 2), (3, 4))], 0, whole=True)
    assert whole.targets.tolist() == [[2, 3, 4]]


def test_an_epoch_sees_rows_once_and_leaves_out_what_is_below_half_a_batch():
    rows = [Row((i,), (i,)) for i in range(10)]
    for size in (1, 3, 4, 10, 100):
        found = [row for chosen in batches(rows, size, np.random.default_rng(1)) for row in chosen]
        assert len(found) == sum(batch_sizes(10, size))
        assert len({row.prompt for row in found}) == len(found)
    assert batch_sizes(10, 4) == [4, 4]
    assert batch_sizes(11, 4) == [4, 4, 3]
    assert batch_sizes(1, 32) == [1]


def test_generated_clients_differ_and_are_judged_by_rows_nobody_trains_on():
    corpus = deal(Dealing(rows=64, test_rows=8))
    corpus.check()
    trained = {row.prompt for client in corpus.clients for row in client.train}
    held = [row.prompt for client in corpus.clients for row in client.held_out]
    world = [row.prompt for rows in corpus.world.values() for row in rows]
    assert not trained & {*held, *world}
    kinds = [{row.kind for row in client.train} for client in corpus.clients]
    assert all(1 <= len(own) <= 2 for own in kinds)
    assert len({frozenset(own) for own in kinds}) > 1
    assert [len(c.train) for c in corpus.clients[:3]] == [32, 64, 96]
    assert deal(Dealing(rows=64, test_rows=8)).checksum == corpus.checksum
    assert deal(Dealing(rows=64, test_rows=8, seed=2)).checksum != corpus.checksum


def test_a_client_without_rows_is_named():
    from harness.workloads.lora.data.corpus import ClientRows, Corpus  # noqa: PLC0415

    row = Row((1,), (2,))
    corpus = Corpus("rows.json", [ClientRows([row], [row]), ClientRows([], [])], {}, [row], 0)
    with pytest.raises(DataError, match="client 1"):
        corpus.check()
