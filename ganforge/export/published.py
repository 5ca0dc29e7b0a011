"""What may leave this machine: configs and recipes without its folders, its user and its tracker."""

from dataclasses import replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from ganforge.redaction import without_credentials
from ganforge.saved.generator_config import GeneratorConfig

OF_THIS_MACHINE = ("output", "tracking")
"""Tables and keys of a recipe that are about who trained it and where."""


def published_config(config: GeneratorConfig) -> GeneratorConfig:
    """A config whose options and protocol name no paths of this machine, such as the folder of the real samples."""
    return replace(config, generator=without_places(config.generator), protocol=without_places(config.protocol))


def published_recipe(table: dict[str, Any]) -> dict[str, Any]:
    """A resolved recipe without the keys that are about one machine or one person."""
    kept = {key: value for key, value in table.items() if key not in OF_THIS_MACHINE}
    kept["data"] = {key: value for key, value in kept["data"].items() if key != "cache_dir"}
    return without_places(kept)


def without_places(value: Any) -> Any:
    """Tables with absolute paths cut down to their last part."""
    if isinstance(value, dict):
        return {key: without_places(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(item) for item in value]
    if isinstance(value, str):
        value = without_credentials(value)
        for kind in (PurePosixPath, PureWindowsPath):
            if value.startswith("~") or kind(value).is_absolute():
                return kind(value).name
    return value
