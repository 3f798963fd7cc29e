"""Real architectures of transformers, tiny and with random weights; adapters by peft."""

import json
import shutil

import numpy as np
import pytest
import torch

from harness.core.errors import DataError, HarnessError, UsageError
from harness.workloads.lora.aggregation.adapters import LowRank, fresh, to_tensors
from harness.workloads.lora.base.architecture import folder_sizes
from harness.workloads.lora.base.folder import open_folder
from harness.workloads.lora.base.model_files import checksum, find_model_files
from harness.workloads.lora.config import LoraConfig
from harness.workloads.lora.data.rows import Row, collate
from harness.workloads.lora.rules import Fitting
from tests.harness.workloads.lora.base.model_folders import (
    SMALL,
    WORDS,
    write_model,
    write_tokenizer,
)

transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore")

CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(**SMALL),
    "qwen2": lambda: transformers.Qwen2Config(**SMALL),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=16, n_embd=16, n_layer=2, n_head=2, n_positions=64, bos_token_id=0,
        eos_token_id=0,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=sorted(CONFIGS))
def folder(request, tmp_path_factory):
    """Save a model of each architecture as its users do."""
    path = tmp_path_factory.mktemp(request.param)
    write_model(path, CONFIGS[request.param]())
    return path


@pytest.fixture
def llama(folder, tmp_path):
    if "llama" not in folder.name:
        pytest.skip("one architecture is enough")
    return shutil.copytree(folder, tmp_path / "model")


def config(folder, **more):
    return LoraConfig(model=str(folder), clients=2, ranks="2", methods=("flora",), **more)


ROWS = [Row((4, 1, 2), (3, 0)), Row((5, 3), (1, 2, 0))]


def test_shapes_are_told_before_any_weight_is_read(folder):
    """The empty copy and the loaded model agree; GPT-2's layers are stored transposed."""
    sizes = folder_sizes(config(folder))
    model = open_folder(config(folder)).model
    assert sizes.shapes == model.shapes
    assert sizes.parameters == model.base_parameters
    first = next(iter(model.shapes.values()))
    assert first == ((48, 16) if "gpt2" in folder.name else (16, 16))


def test_the_base_answers_as_transformers_does(folder):
    model = open_folder(config(folder)).model
    batch = collate(ROWS, 0)
    net = transformers.AutoModelForCausalLM.from_pretrained(folder)
    net.eval()
    with torch.no_grad():
        wanted = net(input_ids=batch.inputs, attention_mask=batch.attended).logits
        got = model.logits(batch)
    kept = batch.attended.bool()
    assert torch.allclose(got[kept], wanted[kept], atol=1e-6)


def drawn(model, rank, seed=1):
    random = torch.Generator().manual_seed(seed)
    return {
        name: LowRank(
            0.1 * torch.randn(rank, n, generator=random),
            0.1 * torch.randn(m, rank, generator=random),
        )
        for name, (m, n) in model.shapes.items()
    }


def test_worn_added_and_merged_by_peft_are_one(folder):
    """An adapter worn, its product added in place, and peft's own merge give the same logits."""
    model = open_folder(config(folder)).model
    adapter, batch = drawn(model, 3), collate(ROWS, 0)
    with torch.no_grad():
        model.fit(Fitting(worn=adapter))
        worn = model.logits(batch)
        stack = {n: LowRank(model.scale * a, b) for n, (a, b) in adapter.items()}
        model.fit(Fitting(stack=stack))
        added = model.logits(batch)
        model.fit(Fitting())
        base = model.logits(batch)
    assert torch.allclose(worn, added, atol=1e-5)
    assert not torch.allclose(worn, base, atol=1e-3)
    net = transformers.AutoModelForCausalLM.from_pretrained(folder)
    theirs = peft.get_peft_model(
        net,
        peft.LoraConfig(
            r=3, lora_alpha=6, target_modules=list(model.shapes),
            fan_in_fan_out="gpt2" in folder.name,
        ),
    )  # fmt: skip
    for name, (a, b) in adapter.items():
        module = theirs.base_model.model.get_submodule(name)
        module.lora_A["default"].weight.data.copy_(a)
        module.lora_B["default"].weight.data.copy_(b)
    merged = theirs.merge_and_unload().eval()
    with torch.no_grad():
        assert torch.allclose(merged(input_ids=batch.inputs).logits, worn, atol=1e-5)


def test_ranks_are_worn_one_after_another_and_the_base_stays(folder):
    model = open_folder(config(folder)).model
    before = {name: p.clone() for name, p in model.own_parameters().items()}
    for rank in (1, 4, 2):
        model.fit(Fitting(worn=fresh(model.shapes, rank, np.random.default_rng(0))))
        worn = model.worn()
        assert {len(a) for a, _ in worn.values()} == {rank}
        assert len(model.parameters("both")) == 2 * len(worn)
        assert len(model.parameters("b")) == len(worn)
    model.fit(Fitting(stack=drawn(model, 2)))
    model.fit(Fitting())
    assert all(torch.equal(p, before[name]) for name, p in model.own_parameters().items())


def test_our_stack_is_peft_s_cat(folder):
    """`add_weighted_adapter` with cat on two adapters gives the product of our stack."""
    from harness.federated.job import Checkpoint  # noqa: PLC0415
    from harness.workloads.lora.aggregation.adapters import from_tensors  # noqa: PLC0415
    from harness.workloads.lora.aggregation.sums import Stack  # noqa: PLC0415

    model = open_folder(config(folder)).model
    one, two = drawn(model, 2, 1), drawn(model, 4, 2)
    sums = Stack(model.shapes, 6, 4, 2.0, lambda s: Checkpoint(to_tensors(s)))
    sums.add(to_tensors(one), 1)
    sums.add(to_tensors(two), 3)
    ours = from_tensors(sums.result().tensors)
    for adapter in (one, two):
        model.fit(Fitting(worn=adapter))
    wrapped = model._wrapped
    wrapped.add_weighted_adapter(["r2", "r4"], [0.25, 0.75], "both", combination_type="cat")
    for name, (a, b) in ours.items():
        module = wrapped.base_model.model.get_submodule(name)
        theirs = module.lora_B["both"].weight @ module.lora_A["both"].weight
        assert torch.allclose(module.scaling["both"] * theirs, b @ a, atol=1e-6)


def test_bad_folders_are_refused_in_words(llama):
    """Missing, pickled, without weights, broken, without config: data errors in words."""
    with pytest.raises(DataError, match="no model"):
        find_model_files(str(llama / "nowhere"))
    weights = llama / "model.safetensors"
    weights.rename(llama / "pytorch_model.bin")
    with pytest.raises(DataError, match="pickles"):
        find_model_files(str(llama))
    (llama / "pytorch_model.bin").unlink()
    with pytest.raises(DataError, match="safetensors"):
        find_model_files(str(llama))
    weights.write_bytes(b"no weights at all")
    with pytest.raises(DataError, match="weights"):
        open_folder(config(llama))
    (llama / "config.json").rename(llama / "config.txt")
    with pytest.raises(DataError, match="config"):
        find_model_files(str(llama))


def test_a_tokenizer_that_does_not_fit_is_refused(llama):
    write_tokenizer(llama, [*WORDS, *map(str, range(10))])
    with pytest.raises(DataError, match="20 tokens, its model 16"):
        open_folder(config(llama))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (llama / name).unlink()
    with pytest.raises(DataError, match="tokenizer"):
        find_model_files(str(llama))


def test_code_of_a_folder_is_not_run(llama):
    """A config that points to code of its own is refused, and the code never runs."""
    told = json.loads((llama / "config.json").read_text())
    told |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}
    (llama / "config.json").write_text(json.dumps(told))
    ran = llama / "ran"
    (llama / "own.py").write_text(f"open({str(ran)!r}, 'w')\nclass Own: pass\n")
    with pytest.raises(HarnessError):
        open_folder(config(llama))
    assert not ran.exists()


def test_unknown_targets_and_long_rows_name_what_there_is(llama):
    with pytest.raises(UsageError, match="q_prof") as told:
        open_folder(config(llama, targets=("q_prof",)))
    assert "q_proj" in told.value.remedy
    with pytest.raises(UsageError, match="64 tokens"):
        open_folder(config(llama, context=65))


def test_another_byte_is_another_base(llama):
    before = checksum(find_model_files(str(llama)))
    with (llama / "model.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x07")
    assert checksum(find_model_files(str(llama))) != before
