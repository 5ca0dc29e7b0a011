"""The discriminator of patches and pixels: what each logit sees, and what losses and penalties make of many."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganforge.models.unet_patch import UNetPatchDiscriminator
from ganforge.registry import register
from ganforge.spec import DataSpec

RGB = DataSpec((3, 32, 48))


def patches(**options: Any) -> UNetPatchDiscriminator:
    torch.manual_seed(0)
    return UNetPatchDiscriminator(RGB, width=4, norm="none", judge="patches", **options).double()


def seen_by(network: nn.Module, index: int) -> tuple[int, int]:
    """Height and width of the part of the picture that one logit depends on."""
    pictures = torch.randn(1, 3, 32, 48, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(pictures)[0, index], pictures)
    rows, columns = gradient[0].abs().sum(dim=0).nonzero().unbind(1)
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


@pytest.mark.parametrize(("depth", "width"), [(1, 4), (2, 10), (3, 22)])
def test_a_patch_is_as_wide_as_documented(depth: int, width: int) -> None:
    network = patches(depth=depth, decoder=False)
    columns = 48 // 2**depth
    middle = (32 // 2**depth) // 2 * columns + columns // 2
    assert seen_by(network, middle) == (width, width)


def test_with_a_decoder_every_pixel_has_a_logit_beside_that_of_its_patch() -> None:
    network = patches(depth=2)
    pictures = torch.randn(2, 3, 32, 48, dtype=torch.float64)
    logits = network(pictures)
    assert logits.shape == (2, 2 * 32 * 48)
    of_patches = logits[:, : 32 * 48].view(2, 32, 48)
    torch.testing.assert_close(of_patches, of_patches[:, ::4, ::4].repeat_interleave(4, 1).repeat_interleave(4, 2))
    assert seen_by(network, 32 * 48 + 16 * 48 + 24) > seen_by(network, 16 * 48 + 24)


def test_one_logit_a_picture_is_the_mean_of_its_patches() -> None:
    many = patches()
    torch.manual_seed(0)
    one = UNetPatchDiscriminator(RGB, width=4, norm="none").double()
    pictures = torch.randn(3, 3, 32, 48, dtype=torch.float64)
    assert one(pictures).shape == (3,)
    torch.testing.assert_close(one(pictures), many(pictures).mean(dim=1))


@dataclass
class Logits:
    """What objectives look at."""

    real_logits: Tensor
    fake_logits: Tensor
    real_labels: None = None
    fake_labels: None = None


@pytest.mark.parametrize("name", [part.name for part in register.objective.loaded()])
def test_every_objective_takes_logits_of_patches_as_a_larger_batch(name: str) -> None:
    objective = register.objective.get(name).build(register.objective.get(name).options())
    real, fake = torch.randn(4, 10, dtype=torch.float64), torch.randn(4, 10, dtype=torch.float64)
    for loss in (objective.discriminator_loss, objective.generator_loss):
        torch.testing.assert_close(loss(Logits(real, fake)), loss(Logits(real.flatten(), fake.flatten())))


def test_a_projection_depends_on_the_class_at_every_position() -> None:
    spec = DataSpec((3, 32, 48), ("cat", "dog"))
    network = UNetPatchDiscriminator(spec, width=4, norm="none", judge="patches", conditional="projection")
    pictures = torch.randn(1, 3, 32, 48)
    difference = network(pictures, torch.tensor([0])) - network(pictures, torch.tensor([1]))
    assert difference.abs().min() > 0


@pytest.mark.parametrize(
    ("shape", "message"),
    [((3, 28, 28), "depth = 3: pictures of 28x28 cannot be halved so often"), ((2,), "use 'mlp'")],
)
def test_samples_it_cannot_judge_are_refused_with_the_remedy(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UNetPatchDiscriminator(DataSpec(shape))
