"""Writing a safetensors file, with the operating system's own errors."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors into a file.

    Raises:
        OSError: the disk is full, or the like, which the library wraps in an error of its own.
    """
    try:
        save_file(tensors, path, metadata=dict(metadata) if metadata is not None else None)
    except SafetensorError as error:
        if (match := re.search(r"os error (\d+)", str(error))) is None:
            raise
        number = int(match[1])
        raise OSError(number, os.strerror(number), str(path)) from error
