"""The DCGAN loop as one finds it in examples, in our own words: the opponent in the ring.

Same networks and arithmetic as the recipe of `contest.py`: batch norm, N(0, 0.02), Adam at 0.0002 and 0.5. And the
habits of such loops: probabilities and `BCELoss`, one backward a term, several `.item()` a step, a discriminator that
gathers gradients in the generator's turn too, and one forward of the generator a step, whose fakes both players use.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

LATENT = 100


def _first_weights(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def classic_generator(width: int = 64) -> nn.Sequential:
    """Latents `(batch, 100, 1, 1)` to pictures `(batch, 3, 64, 64)`."""
    layers: list[nn.Module] = []
    channels = [LATENT, width * 8, width * 4, width * 2, width]
    for index, (before, after) in enumerate(pairwise(channels)):
        stride, padding = (1, 0) if index == 0 else (2, 1)
        layers += [nn.ConvTranspose2d(before, after, 4, stride, padding, bias=False), nn.BatchNorm2d(after)]
        layers.append(nn.ReLU(inplace=True))
    layers += [nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh()]
    return nn.Sequential(*layers).apply(_first_weights)  # type: ignore[return-value]


def classic_discriminator(width: int = 64) -> nn.Sequential:
    """Pictures `(batch, 3, 64, 64)` to probabilities `(batch, 1, 1, 1)`."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    for multiple in (1, 2, 4):
        layers += [
            nn.Conv2d(width * multiple, width * multiple * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width * multiple * 2),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    layers += [nn.Conv2d(width * 8, 1, 4, 1, 0, bias=False), nn.Sigmoid()]
    return nn.Sequential(*layers).apply(_first_weights)  # type: ignore[return-value]


class ClassicLoop:
    """The example's inner loop. Its batches are ready on the device, so its data costs nothing."""

    def __init__(self, batch_size: int, device: torch.device, width: int = 64) -> None:
        torch.manual_seed(0)
        self.device = device
        self.generator = classic_generator(width).to(device)
        self.discriminator = classic_discriminator(width).to(device)
        self.real = torch.rand(batch_size, 3, 64, 64, device=device) * 2 - 1
        self.criterion = nn.BCELoss()
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def step(self) -> tuple[float, float]:
        """One alternation; returns both losses, as the example prints them."""
        batch_size = len(self.real)
        self.discriminator.zero_grad()
        label: Tensor = torch.full((batch_size,), 1.0, device=self.device)
        output = self.discriminator(self.real).view(-1)
        loss_real = self.criterion(output, label)
        loss_real.backward()
        mean_real = output.mean().item()
        noise = torch.randn(batch_size, LATENT, 1, 1, device=self.device)
        fake = self.generator(noise)
        label.fill_(0.0)
        output = self.discriminator(fake.detach()).view(-1)
        loss_fake = self.criterion(output, label)
        loss_fake.backward()
        mean_fake = output.mean().item()
        loss_d = loss_real + loss_fake
        self.optimizer_d.step()

        self.generator.zero_grad()
        label.fill_(1.0)
        output = self.discriminator(fake).view(-1)
        loss_g = self.criterion(output, label)
        loss_g.backward()
        mean_after = output.mean().item()
        self.optimizer_g.step()
        assert 0 <= mean_real + mean_fake + mean_after <= 3
        return loss_d.item(), loss_g.item()
