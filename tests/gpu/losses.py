"""A short run's losses, step by step, as JSON: `measure.py` starts it on each device and in each way of parallel."""

import argparse
import json
import time

from contest import OurLoop, contest_recipe
from torch.nn.parallel import DistributedDataParallel

from ganforge.training.session import finish_processes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--precision", default="no")
    parser.add_argument("--graphs", action="store_true")
    options = parser.parse_args()
    width = {"generator": {"width": options.width}, "discriminator": {"width": options.width}}
    recipe = contest_recipe(
        options.batch,
        **width,
        training={"precision": options.precision},
        performance={"tf32": "none", "cudnn_benchmark": False, "deterministic": True, "cuda_graphs": options.graphs},
    )
    loop = OurLoop(recipe)
    run = loop.run
    losses = []
    for _ in range(options.steps):
        loop.step()
        figures = run.meters.reduce(run.accelerator)
        losses.append([figures["discriminator/loss"], figures["generator/loss"]])
    begin = time.perf_counter()
    for _ in range(options.steps):
        loop.step()
    figures = run.meters.reduce(run.accelerator)  # waits for the device
    milliseconds = 1e3 * (time.perf_counter() - begin) / options.steps
    players = (run.discriminator, run.generator)
    scalers = {
        player.role: None if player.accelerator.scaler is None else player.accelerator.scaler.get_scale()
        for player in players
    }
    report = {
        "device": run.accelerator.device.type,
        "is_ddp": all(isinstance(vars(player.engine)["_wrapped"], DistributedDataParallel) for player in players),
        "losses": losses,
        "last": [figures["discriminator/loss"], figures["generator/loss"]],
        "milliseconds": milliseconds,
        "scales": scalers,
    }
    finish_processes()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
