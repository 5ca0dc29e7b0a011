"""The content of a set of generated shards, and whether an unfinished folder was begun for the same content."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ganforge.arguments import argument
from ganforge.data.shards.manifest import FILE_NAME, load_manifest
from ganforge.errors import GanforgeError
from ganforge.files import write_text
from ganforge.sampling.draw import BATCH, Sampler, looks_at_labels
from ganforge.saved.generator_file import flat_state
from ganforge.wording import counted

PLAN_NAME = "plan.json"
MOST_PER_SHARD = 32 * BATCH
SHARD_BYTES = 128_000_000
RAW_UP_TO = 64
"""Side up to which pictures are stored as plain bytes, which are the fastest to read; larger ones as PNG."""


@dataclass(frozen=True)
class ShardPlan:
    """Everything that decides the bytes of all shards.

    Args:
        num: samples in all.
        per_shard: samples in each shard but the last.
        codec: how pictures are stored.
        classes: names of the classes if the generator looks at labels; otherwise samples get no label.
        seed: seed of the latents.
        truncation: bound of the latents' components, or None.
        psi: truncation of styles, or None.
        label: the class of all samples, or None.
        weights: sha256 of the generator's weights.
        generator: its table of the recipe, for readers only.
        run: name of the run it comes from, for readers only.
        step: alternations it was trained for.
    """

    num: int
    per_shard: int
    codec: Literal["raw", "png"]
    classes: tuple[str, ...]
    seed: int
    truncation: float | None
    psi: float | None
    label: int | None
    weights: str
    generator: dict[str, Any]
    run: str
    step: int

    @property
    def num_shards(self) -> int:
        return -(-self.num // self.per_shard)

    def indices(self, shard: int) -> range:
        """The samples of a shard."""
        return range(shard * self.per_shard, min((shard + 1) * self.per_shard, self.num))


def make_plan(sampler: Sampler, num: int, per_shard: int) -> ShardPlan:
    """What the shards will hold.

    Raises:
        GanforgeError: the generator makes points.
    """
    config, spec = sampler.config, sampler.config.spec
    if not spec.is_image:
        raise GanforgeError(f"shards hold pictures, and this generator makes {spec}; leave out {argument('shards')}")
    fits_png = spec.dtype != "float32" and (spec.channels in (1, 3) or (spec.channels == 4 and spec.has_alpha))
    fitting = SHARD_BYTES // int(np.prod(spec.shape)) // BATCH * BATCH
    digest = hashlib.sha256()
    for name, tensor in sorted(flat_state(sampler.network).items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return ShardPlan(
        num=num,
        per_shard=per_shard or max(BATCH, min(fitting, MOST_PER_SHARD)),
        codec="png" if fits_png and max(spec.height, spec.width) > RAW_UP_TO else "raw",
        classes=spec.classes if looks_at_labels(sampler.network) else (),
        seed=sampler.seed,
        truncation=sampler.truncation,
        psi=sampler.psi,
        label=sampler.label,
        weights=digest.hexdigest(),
        generator=config.generator,
        run=config.run,
        step=config.step,
    )


def begin(partial: Path, plan: ShardPlan, out: Path) -> None:
    """Make the folder, or check that an existing one was begun by the same command."""
    text = json.dumps(for_people(plan), sort_keys=True, indent=2) + "\n"
    path = partial / PLAN_NAME
    partial.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        try:
            write_text(path, text)
        except OSError:  # another rank of another machine wrote it under the same temporary name
            if not path.exists():
                raise
    before = json.loads(path.read_text())
    now = for_people(plan)
    different = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    if different:
        raise GanforgeError(
            f"{partial}: was begun with another {', '.join(different)}; give the same command again, remove the "
            f"folder, or write elsewhere than {out}"
        )


def check_complete(out: Path, plan: ShardPlan) -> str:
    """Report that `out` is complete, after checking that it has this plan.

    Raises:
        GanforgeError: `out` holds something else.
    """
    made_with = load_manifest(out).made_with if (out / FILE_NAME).exists() else {}
    if made_with != for_people(plan):
        raise GanforgeError(
            f"{out}: exists already and holds something else; remove it or choose another {argument('out')}"
        )
    return f"{out} is complete already: {counted(plan.num, 'sample')}"


def for_people(plan: ShardPlan) -> dict[str, Any]:
    """The plan as JSON has it: no None, no tuples."""
    return json.loads(json.dumps({key: value for key, value in asdict(plan).items() if value is not None}))
