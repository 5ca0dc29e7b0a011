"""Every objective and every penalty on the ring of eight Gaussians, as a Markdown table.

    python tests/bench/ring_table.py FOLDER [--beta1 0.5 0.0]

Each training is `recipes/ring2d.toml` with what the row names: 2,000 steps, about ten CPU-seconds on one thread
(OMP_NUM_THREADS=1). Its figures are kept in FOLDER under a hash of the whole recipe, so that a table that was
stopped goes on where it was, and a row that was changed is trained again. The seeds are those on which plain
cross-entropy with Adam's beta1 at 0.5 breaks down.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

from accelerate.state import AcceleratorState
from rich.console import Console

from ganforge.errors import DivergenceError
from ganforge.recipe import Recipe, dump, load
from ganforge.telemetry.progress import ProgressDisplay
from ganforge.training.loop import train
from ganforge.training.run import Run

RECIPE = Path(__file__).parents[2] / "recipes" / "ring2d.toml"
SEEDS = (0, 3, 5)

R1 = '{name="r1", gamma=0.1}'
R2 = '{name="r2", gamma=0.1}'

OBJECTIVES: dict[str, list[str]] = {
    "`bce`": [],
    "`bce`, `real_label = 0.9`": ["objective.real_label=0.9"],
    "`bce`, `flip = 0.1`": ["objective.flip=0.1"],
    "`minimax`": ["objective=minimax"],
    "`lsgan`": ["objective=lsgan"],
    "`hinge`": ["objective=hinge"],
    "`hinge`, spectral norm in D": ["objective=hinge", "discriminator.norm=spectral"],
    "`wasserstein`": ["objective=wasserstein"],
    "`wasserstein`, weights clipped to 0.05": ["objective=wasserstein", "optimizer.discriminator.clip_weights=0.05"],
    "`wasserstein` + `gradient_penalty`": ["objective=wasserstein", 'penalties=["gradient_penalty"]'],
    "`wasserstein` + `gradient_penalty`, five turns of D a step": [
        "objective=wasserstein",
        'penalties=["gradient_penalty"]',
        "training.discriminator_turns=5",
    ],
    "`relativistic`": ["objective=relativistic"],
    "`relativistic_average`": ["objective=relativistic_average"],
    "`relativistic` + `r1` + `r2` (0.1)": ["objective=relativistic", f"penalties=[{R1}, {R2}]"],
}
PENALTIES: dict[str, list[str]] = {
    "`bce` + `r1` (0.1)": [f"penalties=[{R1}]"],
    "`bce` + `r2` (0.1)": [f"penalties=[{R2}]"],
    "`bce` + `r1` + `r2` (0.1)": [f"penalties=[{R1}, {R2}]"],
    "`bce` + `gradient_penalty` (1)": ['penalties=[{name="gradient_penalty", strength=1.0}]'],
    "`bce` + `dragan` (1)": ['penalties=[{name="dragan", strength=1.0}]'],
    "`bce` + `feature_matching` (1)": ['penalties=["feature_matching"]'],
    "`bce` + `lecam` (0.3), `start = 0`": ['penalties=[{name="lecam", start=0}]'],
    "`bce` + `weight_decay_l1` of D (1e-4)": ['penalties=[{name="weight_decay_l1", rate=1e-4}]'],
    "`bce` + `weight_decay_l2` of D (1e-3)": ['penalties=[{name="weight_decay_l2", rate=1e-3}]'],
    "`bce` + `orthogonal` of G (1e-4)": ['penalties=["orthogonal"]'],
    "`bce` + `orthogonal` of D (1e-2)": ['penalties=[{name="orthogonal", rate=1e-2, player="discriminator"}]'],
}
"""`consistency` mirrors and moves pictures and does not take points."""


def recipe_of(overrides: list[str], beta1: float, seed: int, folder: Path) -> Recipe:
    betas = [f"optimizer.{player}.betas=[{beta1},0.999]" for player in ("generator", "discriminator")]
    quiet = ["samples.every=0", "evaluation.every=0", "checkpoint.every=1000000", f"output={folder / 'runs'}"]
    return load(RECIPE, [f"seed={seed}", *betas, *quiet, *overrides])


def figures_of(recipe: Recipe, folder: Path) -> dict[str, float]:
    """Modes and good points at the end, from the folder or from a training; no modes if it diverged."""
    recipe_text = dump(recipe).replace(recipe.output, "")
    path = folder / f"{hashlib.sha256(recipe_text.encode()).hexdigest()[:16]}.json"
    if path.exists():
        return json.loads(path.read_text())
    AcceleratorState._reset_state(reset_partial_state=True)
    shutil.rmtree(recipe.folder, ignore_errors=True)
    recipe.folder.mkdir(parents=True)
    run = Run.build(recipe)
    try:
        train(run, None, ProgressDisplay(Console(quiet=True), start=0, total=1))
        figures = {name: run.progress.figures[name] for name in ("modes", "good_points")}
    except DivergenceError:
        figures = {"modes": 0.0, "good_points": 0.0, "diverged": 1.0}
    shutil.rmtree(recipe.folder, ignore_errors=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(figures))
    os.replace(partial, path)
    return figures


def cells(runs: list[dict[str, float]]) -> str:
    modes = ", ".join("diverged" if "diverged" in run else f"{run['modes']:.0f}" for run in runs)
    good = ", ".join(f"{run['good_points']:.2f}" for run in runs)
    return f"{modes} | {good}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("folder", type=Path, help="keeps the figures of finished trainings")
    parser.add_argument("--beta1", type=float, nargs="+", default=[0.5], help="of both players' Adam")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    rows = {**OBJECTIVES, **PENALTIES}
    found: dict[tuple[str, float], list[dict[str, float]]] = {}
    for beta1 in arguments.beta1:
        for name, overrides in rows.items():
            runs = [figures_of(recipe_of(overrides, beta1, seed, folder), folder) for seed in SEEDS]
            found[name, beta1] = runs
            print(f"beta1 {beta1}  {name}  {cells(runs)}", file=sys.stderr, flush=True)
    print("| | " + " | ".join(f"modes of 8, beta1 {beta1:g} | good points" for beta1 in arguments.beta1) + " |")
    print("|---" * (1 + 2 * len(arguments.beta1)) + "|")
    for name in rows:
        print(f"| {name} | " + " | ".join(cells(found[name, beta1]) for beta1 in arguments.beta1) + " |")


if __name__ == "__main__":
    main()
