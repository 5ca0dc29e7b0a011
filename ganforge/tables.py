"""The tables of a recipe: every key that belongs to the framework, with its type, default and meaning.

A component's own options are added to its table by `ganforge.recipe`, from the component's signature.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from ganforge.component_tables import (
    ComponentTable,
    Count,
    DataTable,
    DiscriminatorTable,
    OptimizerTable,
    PenaltyTable,
    Positive,
)
from ganforge.files import user_cache
from ganforge.loader_options import LoaderOptions
from ganforge.nested import is_list, is_table
from ganforge.options import OptionsModel
from ganforge.run_files import RunFolder
from ganforge.watching_tables import EvaluationTable, HealthTable, TrackingTable

BatchSize = Annotated[int, Field(ge=1, le=2**20)]
Turns = Annotated[int, Field(ge=1, le=1000)]


class OptimizerTables(OptionsModel):
    """One optimizer per player."""

    generator: OptimizerTable
    discriminator: OptimizerTable


class RampTable(OptionsModel):
    """A numeric option that moves from one value to another while training.

    Args:
        option: dotted path of the option as `--set` writes it, such as `penalties.0.gamma`, `augment.0.sigma`,
            `optimizer.generator.lr`, `optimizer.discriminator.betas.1`, `objective.real_label` or `training.ema`.
        start: its value until `begin`; the option's own value in the recipe is ignored.
        end: its value from `begin + over` on.
        begin: number of images at which it begins to move.
        over: number of images over which it moves.
        shape: along a line (`linear`), half a `cosine`, or by equal factors (`exponential`, both ends above 0).
    """

    option: str
    start: float
    end: float
    begin: Count = 0
    over: Positive
    shape: Literal["linear", "cosine", "exponential"] = "linear"


class TrainingTable(OptionsModel):
    """The alternation and its arithmetic.

    Args:
        steps: alternations (one round of both players' turns).
        batch_size: pictures in one turn over all ranks together.
        discriminator_turns: turns of the discriminator per step.
        generator_turns: turns of the generator per step.
        discriminator_micro_batches: pieces that one turn of D is split into on each rank, to save memory.
        generator_micro_batches: the same for G.
        precision: `no`, `bf16`, `fp16`, or `auto` for what accelerate's config says.
        fake_labels: how classes of generated samples are drawn, in training and wherever they are judged or shown: as
            often as the data has them (`data`; Karras et al. 2020, whose code takes labels of the dataset), or all
            alike (`uniform`; Miyato and Koyama 2018). Where the data's labels are not known by number, all alike.
        freeze: so many of the discriminator's first blocks keep the weights that they begin with (FreezeD, Mo et al.
            2020), which a new run therefore has to be given (`--init-from`); 0 for none. `train --dry-run` lists them.
        ema: half-life of the averaged generator in images; 0 for none.
        ema_rampup: the half-life is at most this share of the images so far (Karras et al. 2020); 0 for no ramp.
        ema_start: images before which the averaged generator is the generator itself.
        pool: earlier fakes of which half of what D sees is taken, for each rank (Shrivastava et al. 2017, section 2.3);
            50 in CycleGAN, 0 for none.
        ema_batch_norm: where the averaged generator's batch norm takes its statistics from: `average` (of the
            generator's own, as its weights), or `reestimate` (from batches of its own samples, each time before it is
            used; Izmailov et al. 2018, section 3.2).
        log_every: steps between lines of the log.
        on_divergence: when a loss or a weight is no longer finite, `stop`, or `rollback` to the newest checkpoint and
            continue with smaller learning rates.
        rollback_limit: rollbacks after which the run stops anyway.
        rollback_factor: what each rollback multiplies the learning rates by.
    """

    steps: Positive
    batch_size: BatchSize = 64
    discriminator_turns: Turns = 1
    generator_turns: Turns = 1
    discriminator_micro_batches: BatchSize = 1
    generator_micro_batches: BatchSize = 1
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    fake_labels: Literal["data", "uniform"] = "data"
    freeze: Annotated[int, Field(ge=0, le=1000)] = 0
    ema: Annotated[float, Field(ge=0)] = 10_000.0
    ema_rampup: Annotated[float, Field(ge=0)] = 0.05
    ema_start: Count = 0
    pool: Annotated[int, Field(ge=0, le=2**20)] = 0
    ema_batch_norm: Literal["average", "reestimate"] = "average"
    log_every: Positive = 50
    on_divergence: Literal["stop", "rollback"] = "stop"
    rollback_limit: Count = 3
    rollback_factor: Annotated[float, Field(gt=0, le=1)] = 0.5


class PerformanceTable(OptionsModel):
    """What makes a step cheaper. The defaults change nothing but the order in which sums are rounded.

    Args:
        channels_last: keep pictures and convolutions as (batch, height, width, channels) in memory. By default on CPUs,
            and on GPUs where tensor cores compute the convolutions (bf16, fp16, TF32), which prefer that order.
        cudnn_benchmark: let cuDNN try its algorithms in the first steps and keep the fastest.
        deterministic: only algorithms that give the same bits every time, so that a run on a GPU resumes bit for bit,
            as it does on a CPU anyway. Slower; torch warns of an operation that has no such algorithm.
        tf32: where float32 may be rounded to 10 bits of mantissa for the tensor cores of GPUs since Ampere:
            `convolutions` (torch's own default), `all` (matrix products too), `none`.
        compile: compile both networks with `torch.compile` in the first steps; a network whose penalty differentiates
            twice (r1) stays as it is. Meant for GPUs: on a CPU it was slower than `channels_last` alone.
        cuda_graphs: record each kind of turn, forwards and backwards, as one CUDA graph once it has repeated, and
            replay it; for turns whose kernels are so short that the host cannot start them as fast as they run. A turn
            stays as it is where the host takes part in it: on several processes, with a pool or two ways, while a
            ramp moves one of its options, with a term that remembers (`lecam`, `path_length`), and at steps that the
            doctor looks at. Recordings keep their own memory beside that of turns that are played. Without a CUDA
            device it does nothing.
        reuse_fakes: show the generator, in its first turn of a step, the fakes that the discriminator has just learned
            from, as many examples do, instead of fresh ones (Goodfellow et al. 2014, algorithm 1). Saves one of two
            generator forwards a step, 7 to 10 percent of the time on a CPU. It changes training: D has just been
            updated on these very fakes and knows them better than fresh ones, G sees half as many latents, batch norm's
            running statistics of G move once a step instead of twice, and G's graph lies in memory during D's turn.
        keep_memory: on a CPU under Linux, keep the memory of a step's tensors for the next step. Otherwise much of it
            is returned to the system and allocated again, and the system clears every page that it hands out, which
            takes 3 to 7 percent of the time. The process keeps its peak size.
    """

    channels_last: bool | None = None
    cudnn_benchmark: bool = True
    deterministic: bool = False
    tf32: Literal["none", "convolutions", "all"] = "convolutions"
    compile: bool = False
    cuda_graphs: bool = False
    reuse_fakes: bool = False
    keep_memory: bool = True


class SamplesTable(OptionsModel):
    """Sample grids, at an interval in steps, always from the same latents.

    Args:
        every: steps between grids; 0 for only the one at the end.
        num: pictures in a grid.
    """

    every: Count = 500
    num: Annotated[int, Field(ge=1, le=10_000)] = 64


class CheckpointTable(OptionsModel):
    """Checkpoints for resuming.

    Args:
        every: steps between checkpoints; there is always one at the end.
        keep_last: how many of the newest are kept.
        keep_every: checkpoints at multiples of this step are kept for good; 0 for none.
        keep_best: write a checkpoint at every evaluation that is the best so far. A checkpoint of the best step is kept
            for as long as it is the best, with or without this.
    """

    every: Positive = 1000
    keep_last: Positive = 2
    keep_every: Count = 0
    keep_best: bool = False


def _folder_name(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is None:
        raise ValueError("must be letters, digits, '.', '_' and '-', as it names the run folder")
    if len(name) > 200:
        raise ValueError(f"must be at most 200 characters, not {len(name)}, as it names the run folder")
    return name


class Recipe(OptionsModel):
    """Everything a run is made of. Component tables carry the options of the component they name.

    Paths may hold environment variables; resolving fills them in and keeps the paths as written under `variables`.

    Args:
        name: name of the run and of its folder.
        seed: seed of weights, latents, and the order of the data.
        plugins: modules to import, which register components.
        output: folder that the run folder is made in.
        domain: for unpaired translation, where sources come from, with keys as `[data]`, which has the targets.
        degrade: how sources are made of the targets, in this order; for super-resolution, inpainting and the like.
        generator: the network that turns latents, or sources, into samples.
        objective: the loss of both players.
        augment: what reals and fakes go through before the discriminator sees them, in this order.
        schedule: decides which player moves in a step.
        variables: paths as written, before environment variables were filled in; never written by hand.
    """

    name: Annotated[str, AfterValidator(_folder_name)]
    seed: Annotated[int, Field(ge=0)] = 0
    plugins: tuple[str, ...] = ()
    output: str = "runs"
    data: DataTable
    domain: DataTable | None = None
    degrade: tuple[ComponentTable, ...] = ()
    generator: ComponentTable
    discriminator: DiscriminatorTable
    objective: ComponentTable
    penalties: tuple[PenaltyTable, ...] = ()
    augment: tuple[ComponentTable, ...] = ()
    optimizer: OptimizerTables
    schedule: ComponentTable
    ramps: tuple[RampTable, ...] = ()
    training: TrainingTable
    performance: PerformanceTable = PerformanceTable()
    samples: SamplesTable = SamplesTable()
    checkpoint: CheckpointTable = CheckpointTable()
    evaluation: EvaluationTable = EvaluationTable()
    health: HealthTable = HealthTable()
    tracking: TrackingTable = TrackingTable()
    variables: dict[str, str] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # compared by content, never a key

    @property
    def folder(self) -> Path:
        """The run folder."""
        return Path(self.output) / self.name

    @property
    def files(self) -> RunFolder:
        """The run folder's files by name."""
        return RunFolder(self.folder)

    @property
    def loader(self) -> LoaderOptions:
        """The loader's options of the `[data]` table."""
        return self.loader_of(self.data)

    @staticmethod
    def loader_of(table: DataTable) -> LoaderOptions:
        """The loader's options of a dataset's table."""
        return LoaderOptions(**{name: getattr(table, name) for name in LoaderOptions.model_fields})

    @property
    def cache_dir(self) -> Path:
        """Folder for packed and fetched data."""
        if self.data.cache_dir is not None:
            return Path(self.data.cache_dir).expanduser()
        return user_cache()

    def to_dict(self, unset: str | None = None) -> dict[str, Any]:
        """Plain tables, every default filled in.

        Args:
            unset: value that stands for None; by default keys without a value are left out, as TOML has no null.
        """
        return _plain(self.model_dump(mode="json", exclude={"variables"} if self.variables is None else None), unset)


def _plain(value: Any, unset: str | None) -> Any:
    """Names first, and no None."""
    if is_table(value):
        keys = sorted(value, key=lambda key: key != "name")
        plain = {key: _plain(value[key], unset) for key in keys}
        return {key: item for key, item in plain.items() if item is not None}
    if is_list(value):
        return [_plain(item, unset) for item in value]
    return unset if value is None else value
