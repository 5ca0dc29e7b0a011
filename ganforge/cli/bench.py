"""`ganforge bench`: what a recipe's steps and its data cost on this hardware."""

from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli.bench_data import bench_data
from ganforge.cli.recipes import Overrides, RecipeFile

app = typer.Typer(name="bench", no_args_is_help=True, help="Measure training and data on this hardware.")
app.command("data")(bench_data)


@app.command()
def train(
    recipe: RecipeFile,
    overrides: Overrides = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps timed in one go, and once more turn by turn.")] = 20,
    warmup: Annotated[int, typer.Option(min=1, help="Steps before that.")] = 3,
    gpus_per_node: Annotated[int, typer.Option(min=1, help="For the prediction: GPUs that share fast links.")] = 8,
    node_gb: Annotated[float, typer.Option(min=0.001, help="GB/s that a GPU sends within its node.")] = 300.0,
    network_gb: Annotated[float, typer.Option(min=0.001, help="GB/s that a GPU sends to other nodes.")] = 40.0,
    node_us: Annotated[float, typer.Option(min=0, help="Microseconds a hop within a node.")] = 3.0,
    network_us: Annotated[float, typer.Option(min=0, help="Microseconds a hop between nodes.")] = 10.0,
    images_per_second: Annotated[
        float | None,
        typer.Option(min=0.001, help="Predict for devices of this speed instead of this one's.", show_default=False),
    ] = None,
    step_ms: Annotated[
        float | None,
        typer.Option(
            min=0.001, help="Share of steps this long that logs, grids and checkpoints take.", show_default=False
        ),
    ] = None,
    evaluation: Annotated[
        bool, typer.Option("--evaluation", help="Time an evaluation, too; it may take minutes.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file.")] = None,
) -> None:
    """Time and count the steps of a recipe; writes no run folder.

    Images/s, ms a turn, waiting for data, memory, operations and their share of what this device can do (measured
    beside it), bytes exchanged, what a log line, a grid and a checkpoint cost, and a prediction for 8 to 1,024 GPUs.
    Predict from one process; links are what your cluster's sheet says.
    """
    import json as json_format
    from dataclasses import asdict

    from rich.console import Console

    from ganforge.bench.report import predictions, tables
    from ganforge.bench.scaling import Links
    from ganforge.bench.train import bench_train
    from ganforge.files import write_text
    from ganforge.recipe import load
    from ganforge.training.session import finish_processes

    links = Links(gpus_per_node, node_gb, network_gb, node_us, network_us)
    report = bench_train(load(recipe, overrides or []), steps=steps, warmup=warmup, evaluation=evaluation)
    if report is not None:
        console = Console()
        for table in tables(report, links, images_per_second, step_ms):
            console.print(table)
        if json is not None:
            rows = [asdict(row) for row in predictions(report, links, images_per_second=images_per_second)]
            write_text(json, json_format.dumps({**report.to_dict(), "predicted": rows}, indent=2) + "\n")
    finish_processes()
