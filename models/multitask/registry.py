"""List the networks by the name that `--model` takes.

Names and descriptions are plain text so that they can be listed without importing torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.multitask.network import Architecture

MODELS = {
    "small": (
        "models.multitask.small:SMALL",
        "0.4 M parameters, sized for edge processors at 64×64",
    ),
    "small-wide": (
        "models.multitask.small:WIDE_SMALL",
        "0.9 M parameters, small with an encoder half as wide again",
    ),
    "xception": (
        "models.multitask.xception:XCEPTION",
        "4.1 M parameters, the network of the MAS paper",
    ),
}
"""Name → where it is defined, what it is."""


def architecture(name: str) -> Architecture:
    """Import and return the architecture of that name.

    Raises:
        KeyError: if no such model is registered.
    """
    module, attribute = MODELS[name][0].split(":")
    found: Architecture = getattr(import_module(module), attribute)
    return found
