"""What a saved generator is and where it comes from, checked when it is read: anybody may have written the file."""

import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from ganforge.errors import CheckpointError
from ganforge.options import OptionsModel, problems_of
from ganforge.spec import DataSpec, DType
from ganforge.version import __version__

FORMAT = 1
FORMAT_OF_TRANSLATORS = 2


@dataclass(frozen=True)
class GeneratorConfig:
    """What a saved generator is and where it comes from.

    Args:
        generator: the component's table: its name and every option.
        spec: what its samples look like.
        source: what the pictures look like that a translator is given; None for a generator of latents.
        ways: names of the networks that the file holds, `there` and `back`, if it holds two.
        plugins: modules that register the component.
        run: name of the recipe.
        step: alternations trained.
        images: real images seen.
        seed: the run's seed.
        averaged: whether these are the averaged (EMA) weights.
        class_counts: real samples of each class, by which labels of samples are drawn; empty for all classes alike.
        metrics: figures of these weights.
        protocol: how they were computed: extractor and hash of its weights, counts, data, versions.
    """

    generator: dict[str, Any]
    spec: DataSpec
    plugins: tuple[str, ...] = ()
    run: str = ""
    step: int = 0
    images: int = 0
    seed: int = 0
    averaged: bool = True
    class_counts: tuple[int, ...] = ()
    metrics: dict[str, Any] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    source: DataSpec | None = None
    ways: tuple[str, ...] = ()

    def to_json(self) -> str:
        """As it stands in a file: format 2 for translators alone, which earlier versions cannot read."""
        table = {**asdict(self), "spec": self.spec.to_dict(), "format": FORMAT, "ganforge": __version__}
        if self.source is None:
            del table["source"], table["ways"]
        else:
            table |= {"source": self.source.to_dict(), "format": FORMAT_OF_TRANSLATORS}
        return json.dumps(table, indent=2)

    def of_way(self, way: str) -> "GeneratorConfig":
        """The config of one of two networks: as it is for `there`, the other way round for `back`."""
        if way == "there" or self.source is None:
            return replace(self, ways=())
        return replace(self, spec=self.source, source=self.spec, ways=(), class_counts=(), metrics={}, protocol={})

    @classmethod
    def from_json(cls, text: str, path: Path) -> "GeneratorConfig":
        """The config that a file holds, checked: anybody may have written it.

        Raises:
            CheckpointError: in one line what is wrong with it.
        """
        table, table_format = _format_checked(text, path)
        try:
            read = _Table.model_validate_json(json.dumps(table), strict=True)
            spec = DataSpec(**dict(read.spec))
            source = None if read.source is None else DataSpec(**dict(read.source))
        except ValidationError as error:
            raise CheckpointError(f"{path}: its config is damaged: {problems_of(error, (), _Table)[0]}") from error
        except ValueError as error:
            raise CheckpointError(f"{path}: its config is damaged: spec: {error}") from error
        if source is None and (table_format == FORMAT_OF_TRANSLATORS or read.ways):
            raise CheckpointError(f"{path}: its config is damaged: a translator's says what its source looks like")
        if any(math.prod(each.shape) > MOST_VALUES for each in (spec, source) if each is not None):
            raise CheckpointError(f"{path}: its config is damaged: spec.shape: {spec} have too many values each")
        if read.class_counts and (len(read.class_counts) != spec.num_classes or not any(read.class_counts)):
            text = f"class_counts are not {spec.num_classes} numbers of samples, one for each class"
            raise CheckpointError(f"{path}: its config is damaged: {text}")
        values = {item.name: getattr(read, item.name) for item in fields(cls)}
        return cls(**{**values, "spec": spec, "source": source})


MOST_VALUES = 2**28
"""Values of one sample; a picture of 8192x8192 in four channels has as many."""


class _Spec(OptionsModel):
    shape: tuple[Annotated[int, Field(ge=1, le=2**20)], ...]
    classes: tuple[str, ...] = ()
    dtype: DType = "uint8"
    values: tuple[float, float] | None = None
    has_alpha: bool = False


class _Table(OptionsModel):
    """`GeneratorConfig` as it stands in a file."""

    generator: dict[str, Any]
    spec: _Spec
    source: _Spec | None = None
    ways: tuple[Literal["there", "back"], ...] = ()
    plugins: tuple[str, ...] = ()
    run: str = ""
    step: Annotated[int, Field(ge=0, lt=2**63)] = 0
    images: Annotated[int, Field(ge=0, lt=2**63)] = 0
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    averaged: bool = True
    class_counts: tuple[Annotated[int, Field(ge=0, lt=2**48)], ...] = ()
    metrics: dict[str, Any] = Field(default_factory=dict)
    protocol: dict[str, Any] = Field(default_factory=dict)

    @field_validator("generator")
    @classmethod
    def _has_a_name(cls, table: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(table.get("name"), str):
            raise ValueError("does not name a generator")
        return table


def _format_checked(text: str, path: Path) -> tuple[dict[str, Any], int]:
    """The object in the text without what it says of its format and version, and that format."""
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise CheckpointError(f"{path}: its config is damaged: it is not JSON") from error
    if not isinstance(table, dict):
        raise CheckpointError(f"{path}: its config is damaged: it is not an object")
    if table.get("format") not in (FORMAT, FORMAT_OF_TRANSLATORS):
        raise CheckpointError(
            f"{path}: written in another format; this ganforge {__version__} reads formats {FORMAT} and "
            f"{FORMAT_OF_TRANSLATORS}"
        )
    rest = {key: value for key, value in table.items() if key not in ("format", "ganforge")}
    return rest, table["format"]
