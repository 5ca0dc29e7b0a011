"""What sha256 adds to the saving of a run.

    python tests/bench/hashing_cost.py FOLDER

Saves the same run of about 95 MB many times on the disk of FOLDER, in turn with and without digests, and compares the
medians. A busy machine shows its other work instead: `chrt -r 1 python ...` as root pushes that aside.
"""

import argparse
import statistics
import time
from pathlib import Path

from ganforge.recipe import resolve
from ganforge.saved import checkpoint_writer
from ganforge.training.run import Run
from ganforge.training.saving.saver import Saver


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="on the disk to save to")
    parser.add_argument("--times", type=int, default=15, help="saves with, and as many without")
    arguments = parser.parse_args()
    recipe = resolve(
        {
            "name": "hashing-cost",
            "output": str(arguments.folder),
            "data": {"name": "ring", "samples": 100},
            "generator": {"name": "mlp", "width": 1050, "depth": 4},
            "discriminator": {"name": "mlp", "width": 1050, "depth": 4},
            "training": {"steps": 1, "batch_size": 4},
        }
    )
    recipe.folder.mkdir(parents=True, exist_ok=True)
    run = Run.build(recipe)
    for player in run.players:  # optimizer states as large as those of a training
        for parameter in player.network.parameters():
            parameter.grad = parameter.detach().clone()
        player.update(0, 1.0)
    saver = Saver(run, print)
    digest = checkpoint_writer.sha256_of
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    for _ in range(arguments.times):
        for way, function in (("with", digest), ("without", lambda path: "0" * 64)):
            checkpoint_writer.sha256_of = function
            began = time.perf_counter()
            saver.save(must=True)
            seconds[way].append(time.perf_counter() - began)
    saver.close()
    size = sum(path.stat().st_size for path in recipe.folder.rglob("*") if path.is_file()) / 1e6
    middle = {way: statistics.median(taken) for way, taken in seconds.items()}
    added = middle["with"] / middle["without"] - 1
    print(f"{size:.0f} MB: {middle['with']:.3f} s with sha256, {middle['without']:.3f} s without: {added:+.1%}")


if __name__ == "__main__":
    main()
