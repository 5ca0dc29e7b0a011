"""How a network looks at labels: by its input, by its batch norm, or by the last features of a discriminator."""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ganforge.spec import DataSpec

GeneratorCondition = Literal["none", "embedding", "norm"]
DiscriminatorCondition = Literal["none", "embedding", "projection"]
ClassifyingCondition = Literal["none", "embedding", "projection", "classifier"]


def num_classes_for(spec: DataSpec, conditional: str) -> int:
    """Number of classes that the network looks at: 0 if it is not conditional.

    Raises:
        ValueError: the network is conditional and the samples have no labels.
    """
    if conditional == "none":
        return 0
    if not spec.classes:
        raise ValueError(
            f'conditional = "{conditional}" needs labels, which these samples do not have (packed samples have none '
            'either): pack the pictures with their classes, or set conditional = "none"'
        )
    return spec.num_classes


def required(labels: Tensor | None) -> Tensor:
    """The labels of a batch, for a network that needs them.

    Raises:
        ValueError: no labels were given.
    """
    if labels is None:
        raise ValueError("this network was built conditional: call it with labels (batch,)")
    return labels


class TakesLabels:
    """Marks a module whose forward is given `(input, labels)` by the `LabelledSequential` that it stands in."""


class LabelledSequential(TakesLabels, nn.Sequential):
    """`nn.Sequential` that hands the labels to those of its modules that take them; names of weights are the same."""

    def forward(self, input: Tensor, labels: Tensor | None = None) -> Tensor:
        for module in self:
            input = module(input, labels) if isinstance(module, TakesLabels) else module(input)
        return input


class ConditionalBatchNorm(TakesLabels, nn.Module):
    """Batch norm whose gain and bias depend on the class (de Vries et al. 2017; Dumoulin et al. 2017).

    Mean and variance are taken over the whole batch, regardless of class. Every class starts with gain 1 and bias 0.

    Args:
        norm: batch norm over `channels` without gain and bias of its own.
        channels: of its input `(batch, channels)` or `(batch, channels, height, width)`.
        num_classes: classes that have a gain and a bias each.
    """

    is_norm: ClassVar = True  # its tables are gains and biases, which weight decay spares

    def __init__(self, norm: nn.Module, channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = norm
        self.gain = nn.Embedding(num_classes, channels)
        self.bias = nn.Embedding(num_classes, channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, input: Tensor, labels: Tensor | None = None) -> Tensor:
        labels = required(labels)
        normalised = self.norm(input)
        shape = (*input.shape[:2], *(1 for _ in input.shape[2:]))
        gain = self.gain(labels).to(normalised.dtype).view(shape)
        return gain * normalised + self.bias(labels).to(normalised.dtype).view(shape)


class LabelledLatent(nn.Module):
    """A latent vector with an embedding of its class appended (Mirza and Osindero 2014).

    Args:
        num_classes: classes that have a vector each, drawn from N(0, 1 / num_classes) at first, as in R3GAN (Huang et
            al. 2024): with larger ones, batch norm would keep only what tells classes apart, and G would make one
            picture of each class.
        dim: dimension of the class vector.
    """

    def __init__(self, num_classes: int, dim: int) -> None:
        super().__init__()
        self.classes = nn.Embedding(num_classes, dim)
        nn.init.normal_(self.classes.weight, 0.0, num_classes**-0.5)

    def forward(self, latent: Tensor, labels: Tensor | None) -> Tensor:
        """`(batch, latent_dim)` and `(batch,)` to `(batch, latent_dim + dim)`."""
        return torch.cat((latent, self.classes(required(labels)).to(latent.dtype)), dim=1)


class LabelledSamples(nn.Module):
    """Samples with their class appended, as one more map of a picture or as numbers of a point (Mirza, Osindero 2014).

    Args:
        num_classes: classes that have a learned map, or vector, each, drawn from N(0, 1) at first.
        spec: what a sample looks like. A point gets as many numbers as there are classes.
    """

    def __init__(self, num_classes: int, spec: DataSpec) -> None:
        super().__init__()
        self.shape = (1, spec.height, spec.width) if spec.is_image else (num_classes,)
        size = spec.height * spec.width if spec.is_image else num_classes
        self.classes = nn.Embedding(num_classes, size)

    def forward(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        """`(batch, channels, height, width)` to one channel more, `(batch, features)` to `num_classes` more."""
        known = self.classes(required(labels)).to(samples.dtype).view(-1, *self.shape)
        return torch.cat((samples, known), dim=1)


class Projection(nn.Module):
    """What a class adds to the logit: the inner product of its embedding with D's features (Miyato, Koyama 2018).

    Args:
        num_classes: classes that have a vector each, Glorot uniform at first, as the authors' code has it.
        channels: of the features.
        spectral_norm: bound the table's largest singular value by 1, as that of D's layers.
    """

    def __init__(self, num_classes: int, channels: int, *, spectral_norm: bool = False) -> None:
        super().__init__()
        self.classes = nn.Embedding(num_classes, channels)
        nn.init.xavier_uniform_(self.classes.weight)
        if spectral_norm:
            parametrizations.spectral_norm(self.classes)

    def forward(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """Features `(batch, channels, ...)` to what each position's logit gains, `(batch, ...)`."""
        vectors = self.classes(required(labels)).to(features.dtype)
        return torch.einsum("bc,bc...->b...", vectors, features)


class Classifier(nn.Module):
    """Logits of the classes from D's last features, for objectives that hear them (AC-GAN, Odena et al. 2017).

    Args:
        num_classes: number of classes.
        channels: of the features.
        spectral_norm: bound the largest singular value of its weight by 1, as that of D's layers.
    """

    def __init__(self, num_classes: int, channels: int, *, spectral_norm: bool = False) -> None:
        super().__init__()
        self.classes = nn.Linear(channels, num_classes)
        nn.init.xavier_uniform_(self.classes.weight)
        nn.init.zeros_(self.classes.bias)
        if spectral_norm:
            parametrizations.spectral_norm(self.classes)

    def forward(self, features: Tensor) -> Tensor:
        """Features `(batch, channels)` to logits `(batch, num_classes)`."""
        return self.classes(features)
