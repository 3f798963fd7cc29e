"""Call transformers and peft without letting them reach out, talk or fail in words of their own."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

from harness.core.errors import DataError
from harness.workloads.lora.base.model_files import ModelFiles


@contextmanager
def quiet() -> Iterator[None]:
    """Let the libraries neither reach out nor talk: what matters is said here.

    What they read from the environment is set before they are imported.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    for name, value in (
        ("TOKENIZERS_PARALLELISM", "false"), ("TRANSFORMERS_VERBOSITY", "error"),
        ("HF_HUB_DISABLE_PROGRESS_BARS", "1"), ("TQDM_DISABLE", "1"),
    ):  # fmt: skip
        os.environ.setdefault(name, value)
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):  # bars go there
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def read_by(
    files: ModelFiles,
    what: str,
    action: Callable[[], Any],
) -> Any:  # noqa: ANN401 - theirs
    """Return what a library reads of a model's files; `what` stands in the error.

    Raises:
        DataError: with the first line of whatever the library raised.
    """
    try:
        with quiet():
            return action()
    except MemoryError:
        raise
    except Exception as error:  # the libraries raise whatever they like
        first = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise DataError(
            f"{files.folder}: its {what} cannot be read: {first}",
            "Llama-, Qwen2- and GPT-2-like models in safetensors are read.",
        ) from None
