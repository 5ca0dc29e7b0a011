"""The same loop on several processes or GPUs, through Accelerate.

    accelerate launch examples/accelerate_loop.py digits.png

Each player has an Accelerator of its own, since it needs a gradient scaler of its own. The loader takes this rank's
slice of each global batch by itself: never hand it to `accelerator.prepare`, which would shard it a second time.
"""

import sys
from itertools import islice

import torch
from accelerate.utils import broadcast
from torch import nn

import ganforge
from ganforge import Loader, Turn, register
from ganforge.game.latents import latents
from ganforge.game.player import Player
from ganforge.game.turn import Role
from ganforge.grid import picture_of
from ganforge.parallel.replicated import ReplicatedEngine
from ganforge.parallel.start import make_accelerator

SEED, BATCH, LATENT = 0, 32, 32


def main(out: str, steps: int = 200) -> None:
    """Train on all processes, judge together, and let the main one write a grid of samples."""
    torch.manual_seed(SEED)  # the same weights everywhere
    dataset = register.dataset.make("digits", size=16)
    objective = register.objective.make("bce")

    def make_player(role: Role, network: nn.Module) -> Player:
        accelerator = make_accelerator("auto", role)
        network.to(accelerator.device)
        optimizer = register.optimizer.make("adam", network.parameters(), lr=4e-4)
        return Player(role, ReplicatedEngine(accelerator, network, optimizer), objective=objective)

    spec = dataset.spec
    generator = make_player("generator", register.generator.make("dcgan", spec, latent_dim=LATENT, width=16))
    discriminator = make_player("discriminator", register.discriminator.make("dcgan", spec, width=16))
    accelerator = generator.accelerator
    rank, world_size, device = accelerator.process_index, accelerator.num_processes, accelerator.device
    share = BATCH // world_size
    mine = range(rank * share, (rank + 1) * share)  # of the global batch

    with Loader(dataset, batch_size=BATCH, rank=rank, world_size=world_size, device=device) as loader:
        for step, batch in enumerate(islice(loader, steps)):
            for moving, resting in ((discriminator, generator), (generator, discriminator)):
                with resting.frozen():
                    turn = Turn(
                        player=moving.role,
                        step=step,
                        generator=generator,
                        discriminator=discriminator,
                        source=latents(SEED, moving.role, step, mine, LATENT, device=device),
                        real_samples=batch.samples,
                    )
                    terms = moving.learn(turn)
                    moving.update(step)
                if (step + 1) % 100 == 0:
                    accelerator.print(f"step {step + 1}: {moving.role} {terms['loss'].item():.3f}")

    for buffer in generator.network.buffers():  # each rank has followed its own batches; samples are to be one set
        broadcast(buffer)
    extractor = {"name": "digits-cnn", "epochs": 1}
    found = ganforge.evaluate(generator.network, dataset, "fid", num=512, num_reals=512, extractor=extractor)
    if found.is_main:
        with torch.no_grad():
            samples = generator.network(latents(SEED, "show", 0, range(64), LATENT, device=device))
        picture_of(samples).save(out)
        print(f"FID {found.figures['fid']:.1f}; 64 samples in {out}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "digits.png")
