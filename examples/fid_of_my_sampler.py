"""The FID, or any other metric, of whatever makes samples, by the same code and protocol as in training.

    python examples/fid_of_my_sampler.py

The sampler here is no GAN: a Gaussian fitted to the pixels of the digits. Seconds on one core, no download.
"""

import torch
from torch import Tensor

import ganforge
from ganforge.data.samples import real_samples

# Made for handwritten digits. For figures as in papers leave it out: then it is Inception, fetched once.
EXTRACTOR = {"name": "digits-cnn", "epochs": 2}


def main(num: int = 1_000) -> dict[str, float]:
    """Print the FID of a fitted Gaussian and of noise; lower is better."""
    dataset = ganforge.register.dataset.make("digits", size=16)
    pixels = real_samples(dataset).flatten(1)
    gaussian = torch.distributions.MultivariateNormal(
        pixels.mean(dim=0), torch.cov(pixels.T) + 1e-4 * torch.eye(pixels.shape[1])
    )

    # A sampler is given a count and gives as many pictures in [-1, 1], of the shape of the real ones.
    def fitted(count: int) -> Tensor:
        return gaussian.sample((count,)).clamp(-1, 1).view(count, *dataset.spec.shape)

    def noise(count: int) -> Tensor:
        return 2 * torch.rand(count, *dataset.spec.shape) - 1

    torch.manual_seed(0)
    found: dict[str, float] = {}
    for sampler in (fitted, noise):
        evaluated = ganforge.evaluate(sampler, dataset, ["fid"], num=num, extractor=EXTRACTOR)
        found[evaluated.name] = evaluated.figures["fid"]
        print(f"{sampler.__name__}: FID {evaluated.figures['fid']:.1f}")
    # What would change the figure: counts, the data's digest, extractor and hash of its weights, versions.
    print("by", evaluated.protocol)
    return found


if __name__ == "__main__":
    main()
