"""A checkpoint whose files somebody has changed and signed again, as one who means harm would."""

import json
from pathlib import Path
from typing import Any

from ganforge.saved.checkpoint import digest_of
from ganforge.saved.hashing import sha256_of


def reseal(path: Path, **changes: Any) -> None:
    """Write sizes and digests of the files as they are now into `checkpoint.json`, and the changes with them."""
    file = path / "checkpoint.json"
    state = json.loads(file.read_text()) | changes
    state["files"] = {name: (path / name).stat().st_size for name in state["files"]}
    state["sha256"] = {name: sha256_of(path / name) for name in state["files"]}
    file.write_text(json.dumps({**state, "digest": digest_of(state)}))


def as_format_1(path: Path) -> None:
    """What ganforge wrote before it kept digests, when the data's position was counted in batches."""
    file = path / "checkpoint.json"
    state = json.loads(file.read_text())
    batch_size = state["images"] // max(state["step"], 1)
    state = {key: value for key, value in state.items() if key not in ("sha256", "digest", "dataset", "data")} | {
        "format": 1,
        "batches": json.loads(file.read_text())["data"]["samples"] // batch_size,
    }
    file.write_text(json.dumps(state, indent=2))
