"""The tables of a recipe about who watches a run: the doctor, and trackers."""

from typing import Literal

from ganforge.component_tables import ComponentTable
from ganforge.doctor.illnesses import IllnessName
from ganforge.options import OptionsModel


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
