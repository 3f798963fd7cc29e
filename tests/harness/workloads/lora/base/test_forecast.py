"""Memory of fine-tuning as told before a model is loaded: by hand, and on boards of 1 to 8 GB."""

import json
from dataclasses import replace

import pytest

from devices.profile import load_profiles
from harness.core.errors import MemoryExceededError
from harness.workloads.lora.base import forecast
from harness.workloads.lora.base.forecast import Sizes, TrainingLoad, fitted_rank, peak_bytes

SIZES = Sizes(1_000_000, 4, {"q": (100, 50), "v": (20, 50)}, 1000, 64, 17, 512)
LOAD = TrainingLoad(rows=2, tokens=10, rank=4)
PROGRAM = 330_000_000


def board(name):
    return next(profile for profile in load_profiles() if profile.name == name)


def test_the_peak_is_the_sum_of_its_parts():
    """Base 4 MB, targets 6000 numbers, rank 4 of 220 a rank, 20 tokens of logits, 17 layers."""
    activations = 34 * 4 * 17 * 20 * 64 // 2
    wanted = PROGRAM + 4_000_000 + 4 * 6000 + 16 * 4 * 220 + 12 * 20 * 1000 + activations
    assert peak_bytes(SIZES, LOAD) == wanted
    whole = PROGRAM + 4_000_000 + 16 * 1_000_000 + 12 * 20 * 1000 + activations
    assert peak_bytes(SIZES, replace(LOAD, whole=True)) == whole


def test_checkpointing_leaves_one_layer_and_an_input_of_each():
    saved = peak_bytes(SIZES, LOAD) - peak_bytes(SIZES, replace(LOAD, checkpointing=True))
    assert saved == 34 * 4 * 20 * 64 * (17 - 1.5) / 2


def test_a_rank_is_halved_until_it_fits_and_rank_1_is_the_last(monkeypatch):
    """A layer of 10⁶ outputs and inputs: 32 MB a rank; 1 GB leaves room for some of them."""
    wide = replace(SIZES, parameters=1, shapes={"w": (1_000_000, 1)}, vocabulary=1, depth=0)
    small = board("raspberry-pi-3")
    room = forecast.USABLE * small.memory_bytes
    fits = max(r for r in (1, 2, 4, 8, 16, 32, 64)
               if PROGRAM + 4 * 1_000_001 + 16 * r * 1_000_001 < room - 1000)  # fmt: skip
    assert fitted_rank(wide, replace(LOAD, rank=64), small, 0) == fits < 64
    with pytest.raises(MemoryExceededError, match="client 3") as told:
        fitted_rank(replace(SIZES, parameters=10**9), LOAD, small, 3)
    assert "--batch-size" in told.value.remedy


TINY_LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 2048,
    "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32,
    "num_key_value_heads": 4, "vocab_size": 32000, "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}  # fmt: skip
SMOL = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 576,
    "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
    "num_key_value_heads": 3, "vocab_size": 49152, "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}  # fmt: skip


def sizes_of(folder, told):
    """Return sizes from a configuration; the weights are there by name only, and never read."""
    from harness.workloads.lora.base.architecture import folder_sizes  # noqa: PLC0415
    from harness.workloads.lora.config import LoraConfig  # noqa: PLC0415

    (folder / "config.json").write_text(json.dumps(told))
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "tokenizer.json").write_text("{}")
    return folder_sizes(LoraConfig(model=str(folder), methods=("flora",)))


def test_what_a_board_of_4_gb_can_hold(tmp_path):
    """SmolLM2-135M in single precision does, TinyLlama of 1.1 · 10⁹ parameters (4.4 GB) does not.

    The counts of parameters are the published ones.
    """
    pytest.importorskip("transformers")
    pytest.importorskip("peft")
    pi = board("raspberry-pi-4")
    assert 3.5e9 < pi.memory_bytes < 4.4e9
    load = TrainingLoad(rows=4, tokens=256, rank=16)
    small = sizes_of(tmp_path, SMOL)
    assert small.parameters == 134_515_008
    assert fitted_rank(small, load, pi, 0) == 16
    large = sizes_of(tmp_path, TINY_LLAMA)
    assert large.parameters == 1_100_048_384
    with pytest.raises(MemoryExceededError, match=r"client 1 on a .* GB"):
        fitted_rank(large, load, pi, 1)
