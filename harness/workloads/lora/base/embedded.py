"""Open the language model that is shipped with the program, a safetensors file."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import safetensors
import safetensors.torch

from harness.core.errors import DataError
from harness.workloads.lora.data.letters import VOCABULARY
from models.lora.decoder import DecoderNet, DecoderShape

FILE = Path(__file__).parents[4] / "models" / "lora" / "letters.safetensors"
SHA256 = "b3844d700057146164ef62bc46d42551e239b8ce71156a93e94b9add129b6b47"
MADE_BY = "python -m harness.workloads.lora.commands.teach --out models/lora/letters.safetensors"


def save(net: DecoderNet) -> bytes:
    """Return the weights as safetensors, the sizes in its metadata."""
    tensors = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    return safetensors.torch.save(tensors, metadata=net.shape.as_metadata())


def load(file: Path = FILE, sha256: str = SHA256) -> DecoderNet:
    """Return the embedded model.

    Raises:
        DataError: if the file is missing, or is not the one that was shipped.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}", f"Make it: {MADE_BY}") from None
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{file} is not the file that was shipped", f"Make it anew: {MADE_BY}")
    try:
        (length,) = struct.unpack("<Q", content[:8])
        shape = DecoderShape.from_metadata(json.loads(content[8 : 8 + length])["__metadata__"])
        tensors = safetensors.torch.load(content)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, struct.error) as error:
        raise DataError(f"{file} holds no decoder: {error}", f"Make it: {MADE_BY}") from None
    if shape.vocabulary != len(VOCABULARY):
        raise DataError(f"{file} knows {shape.vocabulary} words, not {len(VOCABULARY)}")
    net = DecoderNet(shape)
    net.load_state_dict(tensors)
    return net
