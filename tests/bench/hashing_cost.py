"""What sha256 adds to the saving of a run.

    python tests/bench/hashing_cost.py FOLDER

Saves the same run of about 95 MB many times on the disk of FOLDER, in turn with digests and as it would be without:
`torch.save` and safetensors straight into the files. Compares the medians of the time that passed, and of the CPU time
of all threads. The former needs an idle machine with a core to spare for the hashing.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganforge.recipe import resolve
from ganforge.saved import checkpoint_writer
from ganforge.saved.hashing import Hasher, Writable
from ganforge.training.run import Run
from ganforge.training.saving.saver import Saver


class NoHasher(Hasher):
    """Writes the files and hashes none."""

    def __init__(self) -> None:
        self._names: list[str] = []

    @contextmanager
    def open(self, path: Path) -> Iterator[Writable]:
        self._names.append(path.name)
        with path.open("wb") as file:
            yield file

    def add(self, path: Path) -> None:
        self._names.append(path.name)

    @property
    def names(self) -> list[str]:
        return self._names

    def sha256(self, name: str) -> str:
        return "0" * 64

    def close(self) -> None: ...


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
    ways = {"with": Hasher, "without": NoHasher}
    seconds: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for turn in range(arguments.times):
        for way in sorted(ways, reverse=turn % 2 == 1):  # neither is always the first
            checkpoint_writer.Hasher = ways[way]
            began = time.perf_counter(), time.process_time()
            saver.save(must=True)
            seconds[way].append((time.perf_counter() - began[0], time.process_time() - began[1]))
    saver.close()
    size = sum(path.stat().st_size for path in recipe.folder.rglob("*") if path.is_file()) / 1e6
    for number, clock in enumerate(("in all", "of CPU time")):
        middle = {way: statistics.median(taken[number] for taken in seconds[way]) for way in ways}
        with_hash, without = middle["with"], middle["without"]
        added = with_hash / without - 1
        print(f"{size:.0f} MB: {with_hash:.3f} s {clock} with sha256, {without:.3f} s without: {added:+.1%}")


if __name__ == "__main__":
    main()
