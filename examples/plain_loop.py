"""A GAN in one plain loop over ganforge's parts, without recipe or command line. Read this example first.

    pip install 'ganforge[demo]'
    python examples/plain_loop.py digits.png

About ten seconds on one core; real handwritten digits, no download.
"""

import sys
from itertools import islice

import torch

from ganforge import Loader, Turn, register
from ganforge.game.averaged import AveragedGenerator
from ganforge.grid import picture_of

BATCH, LATENT = 32, 32


def main(out: str, steps: int = 300) -> None:
    """Train, and write a grid of samples."""
    torch.manual_seed(0)
    # Parts by the names that a recipe would use; options are checked as in a recipe. `ganforge show dcgan` lists them.
    dataset = register.dataset.make("digits", size=16)
    generator = register.generator.make("dcgan", dataset.spec, latent_dim=LATENT, width=16)
    discriminator = register.discriminator.make("dcgan", dataset.spec, width=16)
    objective = register.objective.make("bce")
    r1 = register.penalty.make("r1", gamma=0.1)
    optimizer_of_d = register.optimizer.make("adam", discriminator.parameters(), lr=4e-4)
    optimizer_of_g = register.optimizer.make("adam", generator.parameters(), lr=4e-4)
    averaged = AveragedGenerator(generator, half_life=2_000)

    # Full batches without end, in [-1, 1].
    with Loader(dataset, batch_size=BATCH) as loader:
        for step, batch in enumerate(islice(loader, steps), start=1):
            # What a loss looks at is a turn of one player: real samples, latents and both networks.
            turn = Turn(
                player="discriminator",
                generator=generator,
                discriminator=discriminator,
                source=torch.randn(BATCH, LATENT),
                real_samples=batch.samples,
            )
            loss_of_d = objective.discriminator_loss(turn) + r1(turn)
            optimizer_of_d.zero_grad()
            loss_of_d.backward()
            optimizer_of_d.step()

            turn = Turn(
                player="generator",
                generator=generator,
                discriminator=discriminator,
                source=torch.randn(BATCH, LATENT),
            )
            loss_of_g = objective.generator_loss(turn)
            optimizer_of_g.zero_grad()
            loss_of_g.backward()
            optimizer_of_g.step()

            averaged.update(generator, images=step * BATCH, batch=BATCH)
            if step % 100 == 0:
                print(f"step {step}: D {loss_of_d.item():.3f}, G {loss_of_g.item():.3f}")

    with torch.no_grad():
        picture_of(averaged.network(torch.randn(64, LATENT))).save(out)
    print(f"64 samples in {out}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "digits.png")
