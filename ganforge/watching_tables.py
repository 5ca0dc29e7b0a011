"""The tables of a recipe about who watches a run: metrics, the doctor, and trackers."""

from typing import Annotated, Literal

from pydantic import Field

from ganforge.component_tables import ComponentTable, Count
from ganforge.doctor.illnesses import IllnessName
from ganforge.options import OptionsModel


class EvaluationTable(OptionsModel):
    """Metrics in training.

    Args:
        metrics: the metrics to compute, names or tables.
        extractor: what turns pictures into features, for the metrics that need them; by default
            `inception-v3-compat`.
        data: a dataset that training never sees, to compare with in place of `[data]`, and to make sources of; a
            translation that is judged on what it was trained on says little.
        domain: a dataset that training never sees, to translate in place of `[domain]`. Where `data` is given as well
            and has as many pictures, the i-th picture of one is taken for the translation of the i-th of the other.
        every: steps between evaluations; 0 for only the one at the end.
        at_end: evaluate once more after the last step.
        num_fakes: generated samples an evaluation looks at.
        num_reals: real samples it compares with, evenly spaced in the dataset; 0 for all.
        best: the figure that decides which generator is the best, by default the first figure of the first metric.
        patience: evaluations without a better `best` figure after which the run ends; 0 for never.
    """

    metrics: tuple[ComponentTable, ...] = ()
    extractor: ComponentTable | None = None
    data: ComponentTable | None = None
    domain: ComponentTable | None = None
    every: Count = 0
    at_end: bool = True
    num_fakes: Annotated[int, Field(ge=1, le=10**8)] = 2048
    num_reals: Count = 0
    best: str | None = None
    patience: Count = 0


class HealthTable(OptionsModel):
    """The doctor, which reads every log line and reports what goes wrong between the two players.

    Args:
        watch: whether it runs; training is the same, bit for bit, with and without.
        stop_on: illnesses that end the run when they begin. A loss that is no longer finite is not among them:
            `training.on_divergence` decides what happens then.
        held_out: a dataset of real samples that training never sees, as in `[data]`; with it the doctor can tell
            whether D memorises its data (Karras et al. 2020, "ADA", section 3).
    """

    watch: bool = True
    stop_on: tuple[IllnessName, ...] = ()
    held_out: ComponentTable | None = None


class WandbTable(OptionsModel):
    """Weights & Biases: the table's presence switches it on.

    Args:
        project: project to log to.
        run_name: display name, by default the recipe's name.
        entity: user or team.
        group: group of runs.
        tags: tags of the run.
        mode: `online`, `offline` (sync later with `wandb sync`) or `disabled`.
    """

    project: str = "ganforge"
    run_name: str | None = None
    entity: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()
    mode: Literal["online", "offline", "disabled"] = "online"


class TensorboardTable(OptionsModel):
    """TensorBoard event files in the run folder: the table's presence switches them on."""


class TrackingTable(OptionsModel):
    """Where figures go besides `metrics.jsonl`, which is always written."""

    wandb: WandbTable | None = None
    tensorboard: TensorboardTable | None = None
