"""The small parts that the families of networks share: activations, normalisation, first weights."""

from dataclasses import dataclass, replace
from typing import Literal, Self

from torch import nn
from torch.nn.utils import parametrizations

from ganforge.models.conditioning import ConditionalBatchNorm

Activation = Literal["relu", "leaky_relu", "elu", "silu", "gelu", "tanh"]
Normalisation = Literal["batch", "sync", "none", "spectral"]
MapNormalisation = Literal["batch", "sync", "instance", "none", "spectral"]
LatentDistribution = Literal["normal", "uniform"]


def make_activation(name: Activation, leaky_slope: float) -> nn.Module:
    """The non-linearity of that name; `leaky_slope` is used by `leaky_relu` only.

    None of them works in place, because double backward (R1, gradient penalty) and compilation need unmodified inputs.
    """
    match name:
        case "relu":
            return nn.ReLU()
        case "leaky_relu":
            return nn.LeakyReLU(leaky_slope)
        case "elu":
            return nn.ELU()
        case "silu":
            return nn.SiLU()
        case "gelu":
            return nn.GELU()
        case "tanh":
            return nn.Tanh()


@dataclass(frozen=True)
class LayerStyle:
    """How every layer of one network is made, so that its blueprint says only what is different.

    Args:
        norm: `batch` or `sync` (over all ranks) batch norm after hidden layers of pictures, `instance` norm there (each
            map of each picture by itself; Ulyanov et al. 2016), `spectral` norm (Miyato et al. 2018) on the weights of
            all layers, or `none`.
        activation: non-linearity of hidden layers.
        leaky_slope: slope of `leaky_relu` below zero.
        dropout: probability that one activation is dropped while training, in [0, 1).
        init_std: standard deviation of the first weights around 0 and of batch norm's gains around 1, with biases 0;
            None keeps torch's own initialisation.
        num_classes: classes for which batch norm has gains and biases of their own; 0 for one set shared by all.
    """

    norm: MapNormalisation
    activation: Activation
    leaky_slope: float
    dropout: float = 0.0
    init_std: float | None = None
    num_classes: int = 0

    @property
    def has_batch_norm(self) -> bool:
        return self.norm in ("batch", "sync")

    @property
    def hidden_bias(self) -> bool:
        """Whether hidden layers have a bias: batch and instance norm subtract means, and so one before them, too.

        Its gradient would be a rounding error, which Adam makes a step of.
        """
        return not self.has_batch_norm and self.norm != "instance"

    @property
    def has_spectral_norm(self) -> bool:
        return self.norm == "spectral"

    def with_classes(self, num_classes: int) -> Self:
        """This style with class-conditional batch norm.

        Raises:
            ValueError: there is no batch norm.
        """
        if not self.has_batch_norm:
            raise ValueError(f'conditional = "norm" is about batch norm: norm = "batch" or "sync", not "{self.norm}"')
        return replace(self, num_classes=num_classes)

    def prepared(self, layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> nn.Module:
        """The layer with its initial weights and, where asked for, the spectral norm on them."""
        if self.init_std is not None:
            nn.init.normal_(layer.weight, 0.0, self.init_std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        # After the weights are final: it starts from the largest singular value that it finds.
        return parametrizations.spectral_norm(layer) if self.has_spectral_norm else layer

    def following(self, channels: int, *, pictures: bool = True, batch_norm: bool = True) -> list[nn.Module]:
        """What comes after a hidden layer that gives `channels`: batch norm, activation, dropout, each where asked for.

        Args:
            channels: channels (or features) of the layer before.
            pictures: whether inputs are `(batch, channels, height, width)`, not `(batch, channels)`.
            batch_norm: False where the network has none, of instances neither, even when its style has.
        """
        layers: list[nn.Module] = []
        if batch_norm and self.has_batch_norm:
            layers.append(self._make_batch_norm(channels, pictures))
        if batch_norm and self.norm == "instance":
            assert pictures
            layers.append(nn.InstanceNorm2d(channels))
        layers.append(make_activation(self.activation, self.leaky_slope))
        if self.dropout > 0:
            layers.append(nn.Dropout(self.dropout))
        return layers

    def _make_batch_norm(self, channels: int, pictures: bool) -> nn.Module:
        has_own_gains = self.num_classes == 0
        if self.norm == "sync":
            layer = nn.SyncBatchNorm(channels, affine=has_own_gains)
        else:
            layer = (nn.BatchNorm2d if pictures else nn.BatchNorm1d)(channels, affine=has_own_gains)
        if not has_own_gains:
            return ConditionalBatchNorm(layer, channels, self.num_classes)
        if self.init_std is not None:
            nn.init.normal_(layer.weight, 1.0, self.init_std)
            nn.init.zeros_(layer.bias)
        return layer
