"""DCGAN: "Unsupervised Representation Learning with Deep Convolutional GANs" (Radford, Metz, Chintala 2016)."""

import math
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from ganforge.models.conditioning import (
    Classifier,
    ClassifyingCondition,
    GeneratorCondition,
    LabelledLatent,
    LabelledSamples,
    LabelledSequential,
    Projection,
    num_classes_for,
)
from ganforge.models.convolutions import FirstMap, LastMap, doubling, halving
from ganforge.models.layers import Activation, LatentDistribution, LayerStyle, Normalisation
from ganforge.models.minibatch import GroupSize, MinibatchDeviation
from ganforge.models.sizes import Maps, maps_of
from ganforge.registry import register
from ganforge.spec import DataSpec

Width = Annotated[int, Field(ge=1, le=65_536)]
MaxMultiple = Annotated[int, Field(ge=1, le=1024)]
KernelSize = Annotated[int, Field(ge=2, le=9)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
LeakySlope = Annotated[float, Field(ge=0, le=1)]
InitStd = Annotated[float, Field(gt=0)]


@register.generator("dcgan")
class DCGANGenerator(nn.Module):
    """Strided transposed convolutions from a latent vector to a picture (DCGAN, Radford et al. 2016, figure 1).

    The latent vector becomes a map of 4x4 (7x7 for pictures of 28x28, 3x5 for 48x80), and each block doubles the map
    and halves the channels down to `width`; batch norm and ReLU after every layer but the last, which ends in tanh.
    Weights start as N(0, 0.02) and batch norm's gains as N(1, 0.02) (section 4). In: latent `(batch, latent_dim)`. Out:
    pictures `(batch, channels, height, width)` in [-1, 1] of any size whose halvings, rounded up, end at sides of 2 to
    8, and any number of channels. Labels are taken and ignored unless `conditional` says how to look at them.

    By default it is the network of PyTorch's DCGAN example, 3,576,704 parameters at 64x64 RGB. The paper's has twice
    its channels (1024 on the 4x4 map: `width = 128`), kernels of 5x5 (`kernel_size = 5`), a projection written as a
    dense layer (`stem = "dense"`) and latents from U[-1, 1] (`latent_distribution = "uniform"`).

    Args:
        spec: what a sample looks like: a picture.
        latent_dim: dimension of the latent vector (100 in the paper).
        latent_distribution: what latents are drawn from: `normal` is N(0, 1), `uniform` is U[-1, 1] (the paper).
        width: channels of the last hidden map; each map half its size has twice as many.
        max_multiple: no map has more than `max_multiple * width` channels (8 is what 64x64 reaches; larger pictures
            would otherwise go on doubling).
        kernel_size: side of the kernels of the doubling layers (the paper draws 5; 4 divides by the stride of 2 and
            leaves no checkerboard).
        stem: how the latent becomes the first map: `conv`, a transposed convolution over 1x1, or `dense`, a linear
            layer and a reshape. The two are the same function of the same number of weights, kept in another order.
        norm: `batch`, `sync` (batch norm over all ranks), `none`, or `spectral`
            (Miyato et al. 2018). Layers have a bias if no batch norm follows, that is with `none` and `spectral`.
        activation: non-linearity after hidden layers (ReLU in the paper).
        leaky_slope: slope below zero if `activation` is `leaky_relu`.
        dropout: probability that an activation of a hidden layer is dropped while training.
        init_std: standard deviation of the first weights. Without batch norm 0.02 lets a narrow network fade: try 0.1.
        conditional: how labels are looked at: not at all (`none`), by a learned vector of the class, as long as the
            latent and appended to it (`embedding`, Mirza and Osindero 2014; beside batch norm, which is content with
            differences between classes, it tends to silence the latent), or by gains and biases of batch norm for
            each class (`norm`, de Vries et al. 2017; Miyato and Koyama 2018).

    Raises:
        ValueError: the samples are not pictures, or too long or small ones, or have no labels though `conditional`
            needs them, or there is no batch norm to condition.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent_dim: Annotated[int, Field(ge=1, le=65_536)] = 100,
        latent_distribution: LatentDistribution = "normal",
        width: Width = 64,
        max_multiple: MaxMultiple = 8,
        kernel_size: KernelSize = 4,
        stem: Literal["conv", "dense"] = "conv",
        norm: Normalisation = "batch",
        activation: Activation = "relu",
        leaky_slope: LeakySlope = 0.2,
        dropout: Dropout = 0.0,
        init_std: InitStd = 0.02,
        conditional: GeneratorCondition = "none",
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.latent_distribution: LatentDistribution = latent_distribution
        num_classes = num_classes_for(spec, conditional)
        style = LayerStyle(norm, activation, leaky_slope, dropout, init_std)
        if conditional == "norm":
            style = style.with_classes(num_classes)
        maps = maps_of(spec, "dcgan")
        widths = hidden_widths(maps, width, max_multiple)
        widest = widths[-1]

        self.labelled = LabelledLatent(num_classes, latent_dim) if conditional == "embedding" else None
        features = latent_dim if self.labelled is None else 2 * latent_dim
        if stem == "conv":
            layer = FirstMap(features, widest, maps.start, bias=style.hidden_bias)
            first = [nn.Unflatten(1, (features, 1, 1)), style.prepared(layer)]
        else:
            layer = nn.Linear(features, widest * math.prod(maps.start), bias=style.hidden_bias)
            first = [style.prepared(layer), nn.Unflatten(1, (widest, *maps.start))]
        self.stem = LabelledSequential(*first, *style.following(widest))
        self.blocks = LabelledSequential(
            *(
                LabelledSequential(
                    style.prepared(doubling(wide, narrow, kernel_size, style.hidden_bias, maps.odd(level))),
                    *style.following(narrow),
                )
                for level, (wide, narrow) in enumerate(pairwise(reversed(widths)), start=1)
            )
        )
        # No batch norm on the output: it would force one mean and deviation on all samples (section 3).
        last = doubling(widths[0], spec.channels, kernel_size, style.hidden_bias, maps.odd(maps.doublings))
        self.output = nn.Sequential(style.prepared(last), nn.Tanh())

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents `(batch, latent_dim)` to pictures `(batch, channels, height, width)` in [-1, 1]."""
        if self.labelled is not None:
            latent = self.labelled(latent, labels)
        return self.output(self.blocks(self.stem(latent, labels), labels))


@register.discriminator("dcgan")
class DCGANDiscriminator(nn.Module):
    """Strided convolutions from a picture to one logit (DCGAN, Radford et al. 2016, section 3).

    Each block halves the map and doubles the channels, from `width` down to a map of 4x4 (7x7 for pictures of 28x28,
    3x5 for 48x80), which the head turns into one number; batch norm and leaky ReLU 0.2 after every layer but the first,
    which has no batch norm. Weights start as N(0, 0.02) and batch norm's gains as N(1, 0.02). In: pictures `(batch,
    channels, height, width)` in [-1, 1] of any size whose halvings, rounded up, end at sides of 2 to 8. Out: logits
    `(batch,)`, without the paper's sigmoid, which belongs to the loss. Labels are taken and ignored unless
    `conditional` says how to look at them.

    By default it is the network of PyTorch's DCGAN example, 2,765,568 parameters at 64x64 RGB. The paper's code has
    kernels of 5x5 (`kernel_size = 5`). The textbooks' 28x28 discriminator is `kernel_size = 5, head = "dense", norm =
    "none", dropout = 0.3`; on few pictures a discriminator without batch norm trains more stably (then start from
    `init_std = 0.05`).

    Args:
        spec: what a sample looks like: a picture.
        width: channels of the first hidden map; each map half its size has twice as many.
        max_multiple: no map has more than `max_multiple * width` channels.
        kernel_size: side of the kernels of the halving layers.
        head: how the last map becomes a logit: `conv`, a convolution as large as the map, or `dense`, a linear layer
            on the flattened map. The two are the same function of the same number of weights.
        norm: `batch`, `sync` (batch norm over all ranks), `none`, or `spectral`
            (Miyato et al. 2018: every layer, the head too). Layers have a bias with `none` and `spectral`.
        activation: non-linearity after hidden layers (leaky ReLU in the paper).
        leaky_slope: slope below zero if `activation` is `leaky_relu` (0.2 in the paper).
        dropout: probability that an activation of a hidden layer is dropped while training (0.3 in the textbooks).
        init_std: standard deviation of the first weights.
        conditional: how labels are looked at: not at all (`none`), as one more channel of the picture, a learned map
            of the class (`embedding`, Mirza and Osindero 2014), or by adding to the logit the inner product of a
            learned vector of the class with the last map, summed over positions (`projection`, Miyato and Koyama 2018),
            or by a classifier that the objective `acgan` hears (`classifier`, Odena et al. 2017).
        minibatch_std: group size of the minibatch standard deviation that the last layer is given (Karras et al. 2018,
            whose code has 4); 0 for none. Groups lie within a rank's micro-batch and must divide it.

    Raises:
        ValueError: the samples are not pictures, or too long or small ones, or have no labels though `conditional`
            needs them.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        width: Width = 64,
        max_multiple: MaxMultiple = 8,
        kernel_size: KernelSize = 4,
        head: Literal["conv", "dense"] = "conv",
        norm: Normalisation = "batch",
        activation: Activation = "leaky_relu",
        leaky_slope: LeakySlope = 0.2,
        dropout: Dropout = 0.0,
        init_std: InitStd = 0.02,
        conditional: ClassifyingCondition = "none",
        minibatch_std: GroupSize = 0,
    ) -> None:
        super().__init__()
        style = LayerStyle(norm, activation, leaky_slope, dropout, init_std)
        num_classes = num_classes_for(spec, conditional)
        maps = maps_of(spec, "dcgan")
        widths = hidden_widths(maps, width, max_multiple)
        widest = widths[-1]

        self.labelled = LabelledSamples(num_classes, spec) if conditional == "embedding" else None
        channels = spec.channels if self.labelled is None else spec.channels + 1
        # No batch norm on the input's layer: it would hide the pictures' own mean and contrast (section 3).
        self.input = nn.Sequential(
            style.prepared(halving(channels, widths[0], kernel_size, style.hidden_bias, maps.odd(maps.doublings))),
            *style.following(widths[0], batch_norm=False),
        )
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    style.prepared(halving(narrow, wide, kernel_size, style.hidden_bias, maps.odd(level))),
                    *style.following(wide),
                )
                for level, (narrow, wide) in zip(range(maps.doublings - 1, 0, -1), pairwise(widths), strict=True)
            )
        )
        first = [MinibatchDeviation(minibatch_std)] if minibatch_std else []
        channels = widest + len(first)
        if head == "conv":
            layer = LastMap(channels, 1, maps.start, bias=style.hidden_bias)
            self.head = nn.Sequential(*first, style.prepared(layer), nn.Flatten(0))
        else:
            layer = nn.Linear(channels * math.prod(maps.start), 1, bias=style.hidden_bias)
            self.head = nn.Sequential(*first, nn.Flatten(1), style.prepared(layer), nn.Flatten(0))
        self.classifier, self.projection = None, None
        if conditional == "projection":
            self.projection = Projection(num_classes, widest, spectral_norm=style.has_spectral_norm)
        if conditional == "classifier":
            self.classifier = Classifier(num_classes, widest, spectral_norm=style.has_spectral_norm)

    def blocks_from_samples(self) -> list[tuple[nn.Module, ...]]:
        """What `training.freeze` counts: the layers that halve the map."""
        return [(block,) for block in (self.input, *self.blocks)]

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pictures `(batch, channels, height, width)` in [-1, 1] to logits `(batch,)`."""
        if self.labelled is not None:
            samples = self.labelled(samples, labels)
        features = self.blocks(self.input(samples))
        logits = self.head(features)
        if self.classifier is not None:
            self.classifier(features.sum(dim=(2, 3)))  # heard by an objective, and by nobody else
        if self.projection is not None:
            logits = logits + self.projection(features.sum(dim=(2, 3)), labels)
        return logits


def hidden_widths(maps: Maps, width: int, max_multiple: int) -> list[int]:
    """Channels of all hidden maps from the largest map to the smallest."""
    return [width * min(2**index, max_multiple) for index in range(maps.doublings)]
