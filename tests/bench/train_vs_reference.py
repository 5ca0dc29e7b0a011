"""Our loop against the classic example's, in turns: `python tests/bench/train_vs_reference.py`.

Prints ratios with their spread. Each loop has a process of its own, as it has in use, since ours sets how its process
keeps memory. On a CPU it counts CPU time, and one thread is steadiest: `OMP_NUM_THREADS=1`. Batch 1024 is for GPUs.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from classic import ClassicLoop
from contest import OurLoop, compete_apart, contest_recipe, markdown

from ganforge.building.performance import keep_memory
from ganforge.tables import PerformanceTable

VARIANTS: dict[str, dict[str, Any]] = {
    "ganforge, as it comes": {},
    "ganforge, channels_last = false": {"performance": {"channels_last": False}},
    "ganforge, keep_memory = false": {"performance": {"keep_memory": False}},
    "ganforge, reuse_fakes": {"performance": {"reuse_fakes": True}},
    "ganforge, compile": {"performance": {"compile": True}},
    "ganforge, compile and reuse_fakes": {"performance": {"compile": True, "reuse_fakes": True}},
    "ganforge, bf16": {"training": {"precision": "bf16"}},
}
REFERENCE = "classic loop"
KEPT = "classic loop, memory kept"
"""As ours keeps it: what of the ratio is not the loop's doing."""


def classic_step(batch_size: int, device: torch.device, width: int, keeps_memory: bool) -> Callable[[], object]:
    torch.backends.cudnn.benchmark = True
    keep_memory(PerformanceTable(keep_memory=keeps_memory), device)
    return ClassicLoop(batch_size, device, width).step


def our_step(batch_size: int, width: int, changes: dict[str, Any]) -> Callable[[], object]:
    widths = {"generator": {"width": width}, "discriminator": {"width": width}}
    return OurLoop(contest_recipe(batch_size, **changes, **widths)).step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--steps", type=int, default=1, help="steps in one timing; on a GPU 20 or more")
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--width", type=int, default=64, help="smaller only to try this script")
    parser.add_argument("--variants", nargs="+", default=["as it comes", "channels_last = false", "reuse_fakes"])
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"torch {torch.__version__}, {device.type}, {torch.get_num_threads()} threads\n")
    for batch_size in options.batch:
        entries = {
            REFERENCE: partial(classic_step, batch_size, device, options.width, False),
            KEPT: partial(classic_step, batch_size, device, options.width, True),
        }
        for variant in options.variants:
            name = f"ganforge, {variant}"
            entries[name] = partial(our_step, batch_size, options.width, VARIANTS[name])
        results = compete_apart(
            entries, rounds=options.rounds, steps=options.steps, warmup=options.warmup, device=device
        )
        print(f"batch {batch_size}, {options.rounds} rounds of {options.steps} steps\n")
        print("\n".join(markdown(results, REFERENCE, batch_size)), flush=True)
        print()


if __name__ == "__main__":
    main()
