"""Our loop against the classic example's, interleaved in one process: `python tests/bench/train_vs_reference.py`.

Prints ratios with their spread. On a CPU it counts this process's CPU time, and one thread is steadiest:
`OMP_NUM_THREADS=1`. Batch 1024 is for GPUs.
"""

import argparse
from functools import partial
from typing import Any

import torch
from classic import ClassicLoop
from contest import OurLoop, compete, contest_recipe, markdown

from ganforge.training.performance import choose_kernels

VARIANTS: dict[str, dict[str, Any]] = {
    "ganforge, as it comes": {},
    "ganforge, channels_last = false": {"performance": {"channels_last": False}},
    "ganforge, reuse_fakes": {"performance": {"reuse_fakes": True}},
    "ganforge, compile": {"performance": {"compile": True}},
    "ganforge, compile and reuse_fakes": {"performance": {"compile": True, "reuse_fakes": True}},
    "ganforge, bf16": {"training": {"precision": "bf16"}},
}
REFERENCE = "classic loop"


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
        classic = ClassicLoop(batch_size, device, options.width)
        entries = {REFERENCE: classic.step}
        prepare = {REFERENCE: partial(setattr, torch.backends.cudnn, "benchmark", True)}
        width = {"generator": {"width": options.width}, "discriminator": {"width": options.width}}
        for name in options.variants:
            recipe = contest_recipe(batch_size, **VARIANTS[f"ganforge, {name}"], **width)
            loop = OurLoop(recipe)
            entries[f"ganforge, {name}"] = loop.step
            prepare[f"ganforge, {name}"] = partial(choose_kernels, recipe.performance)
        results = compete(
            entries, rounds=options.rounds, steps=options.steps, warmup=options.warmup, device=device, prepare=prepare
        )
        print(f"batch {batch_size}, {options.rounds} rounds of {options.steps} steps\n")
        print("\n".join(markdown(results, REFERENCE, batch_size)), flush=True)
        print()


if __name__ == "__main__":
    main()
