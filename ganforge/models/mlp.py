"""Fully connected networks for points and pictures, as in the first GAN (Goodfellow et al. 2014)."""

import math
from typing import Annotated

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
from ganforge.models.layers import Activation, LatentDistribution, LayerStyle, Normalisation
from ganforge.models.minibatch import GroupSize, MinibatchDeviation
from ganforge.registry import register
from ganforge.spec import DataSpec

Width = Annotated[int, Field(ge=1, le=65_536)]
Depth = Annotated[int, Field(ge=1, le=1000)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
LeakySlope = Annotated[float, Field(ge=0, le=1)]


@register.generator("mlp")
class MLPGenerator(nn.Module):
    """Linear layers from a latent vector to a point or a picture (Goodfellow et al. 2014).

    `depth` hidden layers of `width`, then one to the sample. Out: points `(batch, dimensions)` without bound, or
    pictures `(batch, channels, height, width)` in [-1, 1] by tanh, of any size (the paper's are 28x28). Weights start
    as torch starts linear layers. Labels are taken and ignored unless `conditional` says how to look at them. The paper
    draws latents from a uniform distribution (`latent_distribution = "uniform"`) and its picture networks are wide
    (1200).

    Args:
        spec: what a sample looks like: a point or a picture.
        latent_dim: dimension of the latent vector.
        latent_distribution: what latents are drawn from: `normal` is N(0, 1), `uniform` is U[-1, 1].
        width: features of every hidden layer.
        depth: number of hidden layers.
        norm: `none`, `batch`, `sync` (over all ranks), or `spectral` (Miyato et al. 2018).
        activation: non-linearity after hidden layers.
        leaky_slope: slope below zero if `activation` is `leaky_relu`.
        dropout: probability that a hidden feature is dropped while training.
        conditional: how labels are looked at: not at all (`none`), by a learned vector of the class, as long as the
            latent and appended to it (`embedding`, Mirza and Osindero 2014; beside batch norm, which is content with
            differences between classes, it tends to silence the latent), or by gains and biases of batch norm for
            each class (`norm`, de Vries et al. 2017).

    Raises:
        ValueError: the samples have no labels though `conditional` needs them, or there is no batch norm to condition.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent_dim: Annotated[int, Field(ge=1, le=65_536)] = 100,
        latent_distribution: LatentDistribution = "normal",
        width: Width = 256,
        depth: Depth = 2,
        norm: Normalisation = "none",
        activation: Activation = "relu",
        leaky_slope: LeakySlope = 0.2,
        dropout: Dropout = 0.0,
        conditional: GeneratorCondition = "none",
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.latent_distribution: LatentDistribution = latent_distribution
        num_classes = num_classes_for(spec, conditional)
        style = LayerStyle(norm, activation, leaky_slope, dropout)
        if conditional == "norm":
            style = style.with_classes(num_classes)
        self.labelled = LabelledLatent(num_classes, latent_dim) if conditional == "embedding" else None
        self.hidden = hidden_layers(latent_dim if self.labelled is None else 2 * latent_dim, width, depth, style)
        last = style.prepared(nn.Linear(width, math.prod(spec.shape)))
        self.output = nn.Sequential(last, nn.Tanh(), nn.Unflatten(1, spec.shape)) if spec.is_image else last

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents `(batch, latent_dim)` to samples `(batch, *spec.shape)`."""
        if self.labelled is not None:
            latent = self.labelled(latent, labels)
        return self.output(self.hidden(latent, labels))


@register.discriminator("mlp")
class MLPDiscriminator(nn.Module):
    """Linear layers from a point or a picture to one logit (Goodfellow et al. 2014, without its maxout).

    `depth` hidden layers of `width`, then one to the logit, `(batch,)`, no sigmoid. Pictures are flattened. Weights
    start as torch starts linear layers. Labels are taken and ignored unless `conditional` says how to look at them.

    Args:
        spec: what a sample looks like: a point or a picture.
        width: features of every hidden layer.
        depth: number of hidden layers.
        norm: `none`, `batch`, `sync` (over all ranks), or `spectral` (Miyato et al. 2018: every layer).
        activation: non-linearity after hidden layers.
        leaky_slope: slope below zero if `activation` is `leaky_relu`.
        dropout: probability that a hidden feature is dropped while training (the paper uses it here).
        conditional: how labels are looked at: not at all (`none`), by learned numbers of the class appended to the
            sample (`embedding`, Mirza and Osindero 2014), or by adding to the logit the inner product of a learned
            vector of the class with the last hidden layer (`projection`, Miyato and Koyama 2018), or by a classifier
            that the objective `acgan` hears (`classifier`, Odena et al. 2017).
        minibatch_std: group size of the minibatch standard deviation that the last layer is given (Karras et al. 2018,
            whose code has 4); 0 for none. Groups lie within a rank's micro-batch and must divide it.

    Raises:
        ValueError: the samples have no labels though `conditional` needs them.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        width: Width = 256,
        depth: Depth = 2,
        norm: Normalisation = "none",
        activation: Activation = "leaky_relu",
        leaky_slope: LeakySlope = 0.2,
        dropout: Dropout = 0.0,
        conditional: ClassifyingCondition = "none",
        minibatch_std: GroupSize = 0,
    ) -> None:
        super().__init__()
        style = LayerStyle(norm, activation, leaky_slope, dropout)
        num_classes = num_classes_for(spec, conditional)
        self.labelled = LabelledSamples(num_classes, spec) if conditional == "embedding" else None
        size = math.prod(spec.shape) + (0 if self.labelled is None else math.prod(self.labelled.shape))
        self.hidden = nn.Sequential(nn.Flatten(1), *hidden_layers(size, width, depth, style))
        first = [MinibatchDeviation(minibatch_std)] if minibatch_std else []
        self.head = nn.Sequential(*first, style.prepared(nn.Linear(width + len(first), 1)), nn.Flatten(0))
        self.classifier, self.projection = None, None
        if conditional == "projection":
            self.projection = Projection(num_classes, width, spectral_norm=style.has_spectral_norm)
        if conditional == "classifier":
            self.classifier = Classifier(num_classes, width, spectral_norm=style.has_spectral_norm)

    def blocks_from_samples(self) -> list[tuple[nn.Module, ...]]:
        """What `training.freeze` counts: hidden layers."""
        return [(block,) for block in self.hidden if not isinstance(block, nn.Flatten)]

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Samples `(batch, *spec.shape)` to logits `(batch,)`."""
        if self.labelled is not None:
            samples = self.labelled(samples, labels)
        features = self.hidden(samples)
        logits = self.head(features)
        if self.classifier is not None:
            self.classifier(features)  # heard by an objective, and by nobody else
        if self.projection is not None:
            logits = logits + self.projection(features, labels)
        return logits


def hidden_layers(features: int, width: int, depth: int, style: LayerStyle) -> LabelledSequential:
    """`depth` linear layers of `width`, each a block with what follows it; a batch norm takes the place of its bias."""
    blocks = []
    for index in range(depth):
        layer = nn.Linear(features if index == 0 else width, width, bias=style.hidden_bias)
        blocks.append(LabelledSequential(style.prepared(layer), *style.following(width, pictures=False)))
    return LabelledSequential(*blocks)
