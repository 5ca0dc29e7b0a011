"""`ganforge evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli.recipes import Overrides
from ganforge.cli.trust import Trust


def evaluate(
    target: Annotated[
        Path,
        typer.Argument(help="Run folder, checkpoint, generator file, or a folder of pictures.", show_default=False),
    ],
    metrics: Annotated[
        str | None,
        typer.Option(help="Names, with commas between; by default the recipe's, else fid.", show_default=False),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Real samples: a dataset's name, a packed dataset, a recipe, or a folder of pictures; by default what "
            "the run learned from.",
            show_default=False,
        ),
    ] = None,
    num: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Generated samples to look at; by default as the recipe says, or the whole folder.",
            show_default=False,
        ),
    ] = None,
    extractor: Annotated[
        str | None,
        typer.Option(
            help="What turns samples into features; by default the recipe's, else Inception.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="File with the extractor's weights.", show_default=False)] = None,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print figures and protocol as JSON.")] = False,
    trust: Trust = False,
) -> None:
    """Compute metrics of a trained generator or of pictures, and say by which protocol.

    Under `accelerate launch` all processes share the work; the figures are the same for any number of them.
    """
    from ganforge.evaluation.saved import evaluate_saved
    from ganforge.training.session import finish_processes

    found = evaluate_saved(
        target,
        metrics=[name.strip() for name in metrics.split(",")] if metrics else (),
        against=against,
        num=num,
        extractor=extractor,
        weights=weights,
        overrides=overrides or (),
    )
    finish_processes()
    if not found.is_main:
        return
    for line in found.warnings:
        typer.echo(f"warning: {line}", err=True)
    if as_json:
        table = {"figures": found.figures, "protocol": found.protocol, "seconds": found.seconds}
        typer.echo(json.dumps({**table, "warnings": found.warnings}))
        return
    typer.echo(found.name)
    for name, value in found.figures.items():
        typer.echo(f"  {name:<12} {value:.6g}")
    protocol = found.protocol
    looked = protocol["extractor"]
    typer.echo(f"{protocol['num_fakes']:,} fakes, {protocol['num_reals']:,} reals ({protocol['reals']['split']})")
    if looked is not None:
        typer.echo(f"{looked['name']}, weights {looked['weights']}, sha256 {looked['sha256'][:12] or 'none'}")
    typer.echo(f"{found.seconds:.1f} s")
