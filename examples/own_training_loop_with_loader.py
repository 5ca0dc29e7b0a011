"""A loop of your own that stops anywhere and goes on bit for bit, with classes, lazy R1 and ganforge's players.

    python examples/own_training_loop_with_loader.py FOLDER
    python examples/own_training_loop_with_loader.py FOLDER    # goes on for as many steps again

`examples/plain_loop.py` is the same with nothing but torch's optimizers; read it first.
"""

import sys
from itertools import islice
from pathlib import Path

import torch

from ganforge import Loader, Turn, register
from ganforge.game.engine import Engine
from ganforge.game.latents import labels, latents
from ganforge.game.player import Player
from ganforge.game.weighted_penalty import WeightedPenalty

SEED, BATCH, LATENT = 0, 32, 32


def main(folder: str, steps: int = 150) -> None:
    """Train for `steps` more steps and save everything in one file."""
    torch.manual_seed(SEED)
    dataset = register.dataset.make("digits", size=16)
    # A player is a network with its optimizer and losses, and rests frozen while the other one moves.
    objective = register.objective.make("hinge")
    network = register.generator.make("dcgan", dataset.spec, latent_dim=LATENT, width=16, conditional="embedding")
    optimizer = register.optimizer.make("adam", network.parameters(), lr=4e-4)
    generator = Player("generator", Engine(network, optimizer), objective=objective)

    network = register.discriminator.make("dcgan", dataset.spec, width=16, conditional="projection")
    optimizer = register.optimizer.make("adam", network.parameters(), lr=4e-4)
    r1 = WeightedPenalty("r1", register.penalty.make("r1", gamma=0.1), interval=4)  # every 4th step, times 4
    discriminator = Player("discriminator", Engine(network, optimizer), objective=objective, penalties=[r1])

    path = Path(folder) / "state.pt"
    first = 0
    with Loader(dataset, batch_size=BATCH, seed=SEED) as loader:
        parts = {
            "loader": loader,
            "discriminator": discriminator,
            "generator": generator,
            "discriminator_network": discriminator.network,
            "generator_network": generator.network,
        }
        if path.exists():
            state = torch.load(path, weights_only=True)
            first = state["step"]
            for name, part in parts.items():
                part.load_state_dict(state[name])
            print(f"goes on from step {first}")

        for step, batch in enumerate(islice(loader, steps), start=first):
            for moving, resting in ((discriminator, generator), (generator, discriminator)):
                with resting.frozen():
                    turn = Turn(
                        player=moving.role,
                        step=step,
                        generator=generator,
                        discriminator=discriminator,
                        # By their place, not by who draws them when: a run that goes on has the same.
                        source=latents(SEED, moving.role, step, range(BATCH), LATENT),
                        fake_labels=labels(SEED, moving.role, step, range(BATCH), dataset.spec.num_classes),
                        real_samples=batch.samples,
                        real_labels=batch.labels,
                    )
                    terms = moving.learn(turn)
                    moving.update(step)
                if (step + 1) % 50 == 0:  # whatever the turn computed: loss, its terms, accuracies
                    figures = ", ".join(f"{name} {value.item():.3f}" for name, value in terms.items())
                    print(f"step {step + 1}, {moving.role}: {figures}")

        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"step": first + steps, **{name: part.state_dict() for name, part in parts.items()}}, path)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "own-loop")
