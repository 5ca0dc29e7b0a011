"""PacGAN: a discriminator that judges several samples at once (Lin, Khetan, Fanti and Oh 2018)."""

from dataclasses import replace

from torch import Tensor, nn

from ganforge.spec import DataSpec


def packed_spec(spec: DataSpec, packing: int) -> DataSpec:
    """What a discriminator sees that is given `packing` samples, joined along their first dimension, without labels."""
    return replace(spec, shape=(packing * spec.shape[0], *spec.shape[1:]), classes=())


class PackedDiscriminator(nn.Module):
    """Joins neighbours in the batch: samples `(batch, channels, ...)` to logits `(batch / packing,)`.

    Args:
        network: built for `packed_spec`.
        packing: samples a logit; the batch must divide by it.
    """

    def __init__(self, network: nn.Module, packing: int) -> None:
        super().__init__()
        self.network = network
        self.packing = packing

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        count, channels, *rest = samples.shape
        # Samples of a pack have labels of their own, so that none belongs to the pack.
        return self.network(samples.reshape(count // self.packing, channels * self.packing, *rest), None)
