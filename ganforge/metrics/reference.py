"""What metrics need of the real samples, computed once for each dataset and protocol."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ganforge.files import replaced
from ganforge.metrics.moments import Moments
from ganforge.metrics.protocol import fingerprint
from ganforge.saved.tensor_file import save_tensors


class ReferenceCache:
    """Features and moments of real samples in files, `references/` in the cache folder.

    A file's name and metadata hold all that its content depends on: the digest of the data, extractor and weights'
    hash, counts, selection, resizing, library version. Files are written in one piece; a damaged one is computed again.

    Args:
        cache_dir: the cache folder.
    """

    def __init__(self, cache_dir: Path) -> None:
        self._folder = cache_dir / "references"

    def load(self, key: Mapping[str, Any]) -> Tensor | Moments | None:
        """The value saved under that key, or None."""
        path = self._path(key)
        try:
            with safe_open(path, framework="pt") as file:
                if (file.metadata() or {}).get("key") != json.dumps(key, sort_keys=True):
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
        except (OSError, SafetensorError):
            return None
        return tensors["rows"] if "rows" in tensors else Moments(**tensors)

    def save(self, key: Mapping[str, Any], value: Tensor | Moments) -> None:
        tensors = {"rows": value.contiguous()} if isinstance(value, Tensor) else dict(vars(value))
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replaced(path) as temporary:
                tensors = {name: tensor.clone() for name, tensor in tensors.items()}
                save_tensors(temporary, tensors, {"key": json.dumps(key, sort_keys=True)})
        except (
            OSError,
            SafetensorError,
        ) as error:  # the next run can compute it again; a failed write must not end this one
            warnings.warn(f"{path}: reference features could not be kept: {error}", stacklevel=2)

    def _path(self, key: Mapping[str, Any]) -> Path:
        name = f"{key['reals']['digest'][:16]}-{key['view']}-{key['form']}-{fingerprint(key)[:16]}"
        return self._folder / f"{name}.safetensors"
