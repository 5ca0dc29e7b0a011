"""`train --dry-run`: build everything, say what would happen, take no step and write nothing."""

from collections.abc import Iterator

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional

from ganforge.game.freezing import frozen_parameters
from ganforge.game.ways import WAYS, BothWays
from ganforge.recipe import Recipe
from ganforge.training.run import Run
from ganforge.translation_problems import PAIRS
from ganforge.wording import counted


def describe_run(recipe: Recipe, console: Console) -> None:
    """Networks with shapes and parameter counts, batch arithmetic, cadence, files. Every rank builds, one prints."""
    run = Run.build(recipe)
    try:
        renderables = (_networks(run), _arithmetic(run), _files(run))  # all ranks: ZeRO 3 fetches weights from each
        if run.accelerator.is_main_process:
            for renderable in renderables:
                console.print(renderable)
        run.accelerator.wait_for_everyone()
    finally:
        run.close()


def _networks(run: Run) -> Table:
    table = Table(title="networks", title_justify="left")
    table.add_column("layer")
    table.add_column("output shape")
    table.add_column("parameters", justify="right")
    eager = torch.compiler.set_stance("force_eager")  # one look is not worth compiling
    with run.gathered(), torch.no_grad(), eager:
        for role, network, inputs in _in_use(run):
            total = sum(parameter.numel() for parameter in network.parameters())
            table.add_row(f"[bold]{role}", "", f"[bold]{total:,}")
            for name, shape, count in _layers(network, inputs):
                table.add_row(f"  {name}", " x ".join(map(str, shape)), f"{count:,}" if count else "")
            table.add_section()
    return table


def _in_use(run: Run) -> Iterator[tuple[str, nn.Module, tuple[object, ...]]]:
    """Each network, and what it could be given; of a game with two ways, those of each."""
    given, labels = run.game.inputs("dry run", 0, range(max(2, run.recipe.discriminator.packing)))
    names = {"generator": run.recipe.generator.name, "discriminator": run.recipe.discriminator.name}
    networks, average = run.networks, run.averaged.network
    if not isinstance(networks.generator, BothWays) or not isinstance(networks.discriminator, BothWays):
        yield f"generator {names['generator']}", networks.generator, (given, labels)
        # The average is in evaluation mode: batch norm over all ranks would wait for the other ones.
        made = average(given, labels)
        if run.recipe.discriminator.sees_source:
            made = torch.cat((made, functional.interpolate(given, size=made.shape[2:])), dim=1)
        yield f"discriminator {names['discriminator']}", networks.discriminator, (made, labels)
        return
    for way in WAYS:
        made = average(way, given, None)
        yield f"generator {names['generator']}, {way}", networks.generator.of(way), (given, None)
        yield f"discriminator {names['discriminator']}, {way}", networks.discriminator.of(way), (made, None)
        given = made


def _layers(network: nn.Module, inputs: tuple[object, ...]) -> list[tuple[str, tuple[int, ...], int]]:
    """Modules with parameters of their own, and those without any inside, in the order of a forward pass.

    Returns:
        name, output shape without the batch, and the number of its own parameters.
    """
    rows: list[tuple[str, tuple[int, ...], int]] = []

    def watch(name: str, module: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def note(module: nn.Module, args: object, output: object) -> None:
            made = next(iter(output), None) if isinstance(output, tuple) else output
            shape = tuple(made.shape[1:]) if isinstance(made, torch.Tensor) else ()
            if shape or _own(module):
                rows.append((f"{name} {_kind(module)}", shape, _own(module)))

        return module.register_forward_hook(note)

    listed = [(name, module) for name, module in network.named_modules() if _is_listed(name, module)]
    handles = [watch(name, module) for name, module in listed]
    was_training = network.training
    try:
        network.eval()(*inputs)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return rows


PARAMETRISED = "parametrizations"
"""Where torch keeps the weights that a layer computes its own from, as under spectral norm."""


def _is_listed(name: str, module: nn.Module) -> bool:
    inside = [child for child, _ in module.named_children() if child != PARAMETRISED]
    return PARAMETRISED not in name.split(".") and (not inside or _own(module) > 0)


def _own(module: nn.Module) -> int:
    """Number of a module's own parameters, with those that its weight is computed from."""
    of_weight = getattr(module, PARAMETRISED, None)
    behind = list(of_weight.parameters()) if isinstance(of_weight, nn.ModuleDict) else []
    return sum(parameter.numel() for parameter in [*module.parameters(recurse=False), *behind])


def _kind(module: nn.Module) -> str:
    """The class that the recipe's author knows: torch makes another of it for a parametrised layer."""
    return type(module).__name__.removeprefix("Parametrized")


def _arithmetic(run: Run) -> Table:
    recipe, training = run.recipe, run.recipe.training
    ranks = run.accelerator.num_processes
    table = Table(title="arithmetic", title_justify="left", show_header=False)
    table.add_row("data", f"{len(run.dataset):,} samples of {run.dataset.spec}")
    if run.networks.source is not None:
        table.add_row("source", _source(run))
    table.add_row("reader", run.loader.describe())
    table.add_row("device", f"{ranks} x {run.accelerator.device.type}, precision {run.generator.engine.precision}")
    table.add_row("batch", f"{training.batch_size} = {counted(ranks, 'rank')} x {training.batch_size // ranks}")
    for player in (run.discriminator, run.generator):
        size = training.batch_size // ranks // player.micro_batches
        reals = "reals and fakes" if player.sees_real(0) else "fakes"
        turns = f"{counted(player.turns_per_step, 'turn')} of {player.micro_batches} x {size} {reals} a rank"
        table.add_row(f"a step of {player.role}", f"{turns}; {_terms(player.role, run)}")
    if frozen := frozen_parameters(run.networks.discriminator):
        table.add_row("frozen", _frozen(run, frozen))
    images = training.steps * training.batch_size
    table.add_row(
        "length",
        f"{counted(training.steps, 'step')}, {images:,} images, {images / len(run.dataset):,.1f} x the dataset",
    )
    table.add_row("log", _cadence(training.log_every))
    table.add_row("samples", _cadence(recipe.samples.every))
    table.add_row("evaluation", _evaluation(recipe))
    table.add_row("checkpoint", _cadence(recipe.checkpoint.every))
    return table


def _frozen(run: Run, frozen: dict[str, nn.Parameter]) -> str:
    network = run.networks.discriminator
    total = sum(weight.numel() for weight in network.parameters())
    count = sum(weight.numel() for weight in frozen.values())
    blocks = counted(run.recipe.training.freeze, "block")
    return f"{blocks} of D ({', '.join(_frozen_modules(network))}): {count:,} of {total:,} parameters"


def _frozen_modules(network: nn.Module) -> list[str]:
    """Names of the outermost modules of which all parameters are frozen."""
    found: list[str] = []
    for name, module in network.named_modules():
        weights = list(module.parameters())
        is_within = any(name.startswith(f"{outer}.") for outer in found)
        if weights and not is_within and not any(weight.requires_grad for weight in weights):
            found.append(name)
    return found


def _source(run: Run) -> str:
    """What the generator is given, and where it comes from."""
    recipe, spec = run.recipe, run.networks.source
    if recipe.domain is not None:
        ways = "; there and back" if run.networks.has_two_ways else ""
        return f"{spec}, of [domain] {recipe.domain.name}{ways}"
    if recipe.degrade:
        return f"{spec}, of the data by {', '.join(step.name for step in recipe.degrade)}"
    return f"{spec}, stored beside the data"


def _cadence(every: int, at_end: bool = True) -> str:
    """When something with an interval in steps happens; an interval of 0 means not in between."""
    if not every:
        return "at the end only" if at_end else "never"
    steps = "step" if every == 1 else f"{every:,} steps"
    return f"every {steps}{' and at the end' if at_end else ''}"


def _evaluation(recipe: Recipe) -> str:
    table = recipe.evaluation
    if not table.metrics:
        return "never: evaluation.metrics is empty"
    known = recipe.domain is not None or bool(recipe.degrade) or recipe.data.name == PAIRS
    warning = "; on the training data itself: set evaluation.data to pictures that training never sees"
    names = ", ".join(metric.name for metric in table.metrics)
    return f"{_cadence(table.every, table.at_end)}: {names}{warning if known and table.data is None else ''}"


def _terms(role: str, run: Run) -> str:
    player = run.discriminator if role == "discriminator" else run.generator
    return " + ".join([run.recipe.objective.name, *(penalty.name for penalty in player.penalties)])


def _files(run: Run) -> Table:
    table = Table(title=f"would be written to {run.folder}", title_justify="left", show_header=False)
    trackers = [name for name in ("wandb", "tensorboard") if getattr(run.recipe.tracking, name) is not None]
    files = run.files
    table.add_row(files.recipe.name, "the recipe, every default filled in")
    table.add_row(files.metrics.name, "figures" + (f"; also to {', '.join(trackers)}" if trackers else ""))
    if run.probe is not None:
        table.add_row(files.health.name, "what the doctor finds")
    given = "latents" if run.networks.source is None else "sources, each between its source and its target"
    table.add_row(files.any_sample_grid, f"{counted(run.recipe.samples.num, 'sample')}, always from the same {given}")
    table.add_row(f"{files.any_checkpoint}/", f"the newest {run.recipe.checkpoint.keep_last}, for resuming")
    table.add_row(files.generator("last").name, "averaged generator with its config")
    if run.evaluator is not None:
        table.add_row(files.generator("best").name, f"the best by {next(iter(run.evaluator.better()))}")
    return table
