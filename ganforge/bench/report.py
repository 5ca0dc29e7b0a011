"""What `ganforge bench train` prints."""

from collections.abc import Iterable, Sequence

from rich.table import Table

from ganforge.bench.scaling import Links, Prediction, predict
from ganforge.bench.train import TrainReport
from ganforge.wording import counted

COUNTS = (1, 8, 16, 32, 64, 128, 256, 512, 1024)


def predictions(
    report: TrainReport, links: Links, counts: Sequence[int] = COUNTS, images_per_second: float | None = None
) -> list[Prediction]:
    """The scaling table of a report; each turn takes its share of an uninterrupted step.

    Args:
        report: measurements of this device.
        links: links between devices.
        counts: numbers of devices.
        images_per_second: speed of one device of another kind; by default the speed measured here.
    """
    seconds = report.batch / images_per_second if images_per_second else report.seconds
    share = seconds / (report.milliseconds * 1e-3)
    turns = [
        (cost.milliseconds * 1e-3 * share, float(cost.communicated))
        for cost in report.players.values()
        for _ in range(cost.turns)
    ]
    rest = max(0.0, seconds - sum(seconds for seconds, _ in turns))
    return predict(turns, rest, report.batch // report.ranks, links, counts)


def tables(
    report: TrainReport, links: Links, images_per_second: float | None = None, step_ms: float | None = None
) -> Iterable[Table]:
    """The step, the players, what interrupts the steps, and what more GPUs would do.

    Args:
        report: measurements of this device.
        links: links between devices.
        images_per_second: speed of one device of another kind; by default the speed measured here.
        step_ms: time of a step that interruptions are a share of; by default the time measured here.
    """
    yield _step(report)
    yield _players(report)
    if report.occasions:
        yield _occasions(report, step_ms or report.seconds * 1e3)
    yield _scaling(report, links, images_per_second)


def _step(report: TrainReport) -> Table:
    table = Table(title="a step", title_justify="left", show_header=False)
    ranks = counted(report.ranks, "process", "processes")
    table.add_row("where", f"{ranks} on {report.device}, precision {report.precision}, batch {report.batch}")
    table.add_row("speed", f"{report.images_per_second:,.1f} images/s, {report.seconds * 1e3:,.1f} ms a step")
    table.add_row("turn by turn", f"{report.milliseconds:,.1f} ms a step (median), the device waited for in between")
    table.add_row("waiting for data", f"{report.wait_share:.1%} of the time")
    table.add_row("peak memory", f"{report.peak_memory / 2**30:,.2f} GiB")
    flops, traffic = report.of_step("flops"), report.of_step("traffic")
    table.add_row(
        "operations",
        f"{flops / 1e9:,.1f} GFLOP a step; {flops / report.seconds / 1e9:,.0f} GFLOP/s are {report.flops_share:.0%} of "
        f"the {report.ceilings.flops / 1e9:,.0f} of a matrix product here",
    )
    table.add_row(
        "traffic",
        f"{traffic / 1e9:,.2f} GB a step if nothing is fused or cached; {traffic / report.seconds / 1e9:,.0f} GB/s are "
        f"{report.traffic_share:.0%} of the {report.ceilings.copy_bytes / 1e9:,.0f} of a copy here",
    )
    table.add_row("communication", f"{report.of_step('communicated') / 1e6:,.2f} MB of gradients a step and rank")
    return table


def _players(report: TrainReport) -> Table:
    table = Table(title="a turn", title_justify="left")
    for name in ("player", "turns a step", "ms", "GFLOP", "GB moved", "MB exchanged"):
        table.add_column(name, justify="left" if name == "player" else "right")
    for role, cost in report.players.items():
        table.add_row(
            role,
            str(cost.turns),
            f"{cost.milliseconds:,.2f}",
            f"{cost.flops / 1e9:,.2f}",
            f"{cost.traffic / 1e9:,.3f}",
            f"{cost.communicated / 1e6:,.2f}",
        )
    return table


def _occasions(report: TrainReport, step_ms: float) -> Table:
    table = Table(
        title=f"once in a while: what training waits for, and its share of steps of {step_ms:,.2f} ms",
        title_justify="left",
        caption="measured on this device and disk; what is done only at the end has no share",
        caption_justify="left",
        show_footer=True,
    )
    table.add_column("what", "together")
    table.add_column("ms", justify="right")
    table.add_column("every", justify="right")
    together = sum(occasion.share(step_ms) for occasion in report.occasions)
    table.add_column("share", f"{together:.2%}", justify="right")
    for occasion in report.occasions:
        every = counted(occasion.every, "step") if occasion.every else "at the end"
        share = f"{occasion.share(step_ms):.2%}" if occasion.every else "-"
        table.add_row(occasion.name, f"{occasion.milliseconds:,.1f}", every, share)
    return table


def _scaling(report: TrainReport, links: Links, images_per_second: float | None) -> Table:
    device = f"that make {images_per_second:,.0f} images/s each" if images_per_second else "like this one"
    table = Table(
        title=f"predicted: more devices {device}, each with its own batch of {report.batch // report.ranks}",
        title_justify="left",
        caption=f"all-reduce, the faster of ring and tree, over {links.node_gb:g} GB/s and {links.node_us:g} us a hop "
        f"within nodes of {links.gpus_per_node}, {links.network_gb:g} GB/s a device and {links.network_us:g} us between"
        ". At best: what can hides behind the backward pass. Reads: decoded samples of all devices together, while "
        "they do not lie in memory. A model, not a measurement: slow ranks, storage and busy networks are not in it",
        caption_justify="left",
    )
    for name in (
        "devices",
        "ring ms",
        "tree ms",
        "images/s",
        "efficiency",
        "if hidden behind backward",
        "reading GB/s",
    ):
        table.add_column(name, justify="right")
    bytes_an_image = report.reals / report.batch * report.sample_bytes
    for row in predictions(report, links, images_per_second=images_per_second):
        table.add_row(
            f"{row.gpus:,}",
            f"{row.ring * 1e3:,.2f}",
            f"{row.tree * 1e3:,.2f}",
            f"{row.images_per_second:,.0f}",
            f"{row.efficiency:.1%}",
            f"{row.best_efficiency:.1%}",
            f"{row.images_per_second * bytes_an_image / 1e9:,.1f}",
        )
    return table
