"""Perceptual path length against formulas written out, with networks of the published layouts and random weights."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torchvision.models import vgg16

from ganforge.data.dataset import ArrayDataset
from ganforge.errors import GanforgeError
from ganforge.metrics.evaluator import Evaluator
from ganforge.metrics.generated import Generated
from ganforge.metrics.lpips import SCALE, SHIFT, PerceptualDistance
from ganforge.metrics.ppl import PerceptualPathLength
from ganforge.metrics.protocol import Protocol, versions
from ganforge.models.stylegan2 import StyleGAN2Generator
from ganforge.spec import DataSpec

WIDTHS = (64, 128, 256, 512, 512)


@pytest.fixture(autouse=True)
def fresh_accelerate():
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The metric's options for two files in the published layouts."""
    folder = tmp_path_factory.mktemp("lpips")
    torch.manual_seed(0)
    features = {f"features.{name}": tensor for name, tensor in vgg16(weights=None).features.state_dict().items()}
    torch.save(features, folder / "vgg16.pth")
    torch.save(
        {f"lin{k}.model.1.weight": torch.rand(1, width, 1, 1) for k, width in enumerate(WIDTHS)}, folder / "vgg.pth"
    )
    options = {}
    for name, file in (("vgg", folder / "vgg16.pth"), ("heads", folder / "vgg.pth")):
        options |= {name: str(file), f"{name}_sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    return options


def dataset(shape: tuple[int, ...] = (3, 32, 32)) -> Any:
    import numpy as np

    rows = np.zeros((4, *shape[1:], shape[0]), np.uint8)
    return ArrayDataset(rows, DataSpec(shape), "d" * 64)


def lpips(weights: dict[str, str], one: Tensor, other: Tensor) -> Tensor:
    """The paper's formula with torchvision's network."""
    network: Any = vgg16(weights=None).features.eval()
    state = torch.load(weights["vgg"], weights_only=True)
    network.load_state_dict({name.removeprefix("features."): tensor for name, tensor in state.items()})
    heads = torch.load(weights["heads"], weights_only=True)
    found = []
    for pictures in (one, other):
        maps = (pictures - torch.tensor(SHIFT).view(3, 1, 1)) / torch.tensor(SCALE).view(3, 1, 1)
        seen = []
        for place, layer in enumerate(network[:30]):
            maps = layer(maps)
            if place in (3, 8, 15, 22, 29):
                seen.append(nn.functional.normalize(maps, dim=1))
        found.append(seen)
    terms = [
        ((a - b).square() * heads[f"lin{k}.model.1.weight"]).sum(dim=1).mean(dim=(1, 2))
        for k, (a, b) in enumerate(zip(*found, strict=True))
    ]
    return torch.stack(terms).sum(dim=0)


@torch.no_grad()
def test_lpips_is_the_papers_with_torchvisions_network(weights: dict[str, str]) -> None:
    torch.manual_seed(1)
    one, other = torch.rand(2, 3, 3, 32, 32) * 2 - 1
    distance = PerceptualDistance(Path(weights["vgg"]), Path(weights["heads"]))
    torch.testing.assert_close(distance(one, other), lpips(weights, one, other), rtol=1e-4, atol=1e-6)
    assert not distance(one, one).any()


def evaluated(metric: PerceptualPathLength, network: nn.Module, latents: Tensor, tmp_path: Path, num: int) -> float:
    protocol = Protocol(
        metrics=(), extractor=None, reals={"digest": "d"}, num_reals=4, fakes={}, num_fakes=num, versions=versions()
    )
    evaluator = Evaluator([metric], None, dataset(), Accelerator(), protocol=protocol, cache_dir=tmp_path)

    def inputs(indices: range) -> tuple[Tensor, None]:
        return latents[indices.start : indices.stop], None

    return evaluator(Generated(lambda indices: network(*inputs(indices)), inputs, network))["ppl"]


@torch.no_grad()
@pytest.mark.parametrize("sampling", ["end", "full"])
def test_steps_in_the_space_of_styles_are_straight_and_outliers_are_left_out(weights, tmp_path, sampling) -> None:
    torch.manual_seed(2)
    network = StyleGAN2Generator(
        DataSpec((3, 32, 32)), latent_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=8, output="linear"
    ).eval()
    latents = torch.randn(12, 8)
    metric = PerceptualPathLength(dataset(), **weights, sampling=sampling, epsilon=0.01)
    found = evaluated(metric, network, latents, tmp_path, 6)
    one, other = (network.mapping(part, None, follow=False) for part in latents.split(6))
    place = torch.rand(6, 1, generator=torch.Generator().manual_seed(0)) if sampling == "full" else torch.zeros(6, 1)
    pictures = [
        network.pictures((one + at * (other - one))[:, None].expand(-1, network.num_ws, -1))
        for at in (place, place + 0.01)
    ]
    distances = lpips(weights, *pictures) / 0.01**2
    assert found == pytest.approx(float(distances.mean()), rel=0.02)


def test_the_smallest_and_the_largest_hundredth_are_left_out(weights) -> None:
    metric = PerceptualPathLength(dataset(), **weights)
    rows = torch.cat([torch.full((990,), 3.0), torch.full((5,), 1e9), torch.zeros(5)])
    assert metric.of_rows(rows)["ppl"] == 3.0


class Turns(nn.Module):
    """Pictures whose brightness is the angle of a latent in the plane: along the sphere it changes evenly."""

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        angle = torch.atan2(latent[:, 1], latent[:, 0]) / torch.pi
        return angle.view(-1, 1, 1, 1).expand(-1, 3, 32, 32).contiguous()


@torch.no_grad()
def test_without_styles_the_way_is_along_the_sphere(weights, tmp_path) -> None:
    angles = torch.tensor([0.2, 0.2, 1.2, 0.7])
    latents = torch.stack([angles.cos(), angles.sin()], dim=1) * torch.tensor([1.0, 3.0, 2.0, 0.5])[:, None]
    metric = PerceptualPathLength(dataset(), **weights, epsilon=0.01)
    found = evaluated(metric, Turns(), latents, tmp_path, 2)
    start, ends = angles[:2], angles[:2] + 0.01 * (angles[2:] - angles[:2])
    pictures = [(at / torch.pi).view(-1, 1, 1, 1).expand(-1, 3, 32, 32).contiguous() for at in (start, ends)]
    expected = lpips(weights, *pictures) / 0.01**2
    assert found == pytest.approx(float(expected.mean()), rel=0.05)


def test_files_that_are_not_what_was_named_are_refused_in_a_line(weights, tmp_path) -> None:
    with pytest.raises(GanforgeError, match="is not a file"):
        PerceptualPathLength(dataset(), **{**weights, "vgg": str(tmp_path / "none.pth")})
    with pytest.raises(GanforgeError, match="its sha256 is"):
        PerceptualPathLength(dataset(), **{**weights, "heads_sha256": "0" * 64})
    swapped = {"vgg": weights["heads"], "vgg_sha256": weights["heads_sha256"]}
    with pytest.raises(GanforgeError, match="not the weights of VGG16 and LPIPS"):
        PerceptualPathLength(dataset(), **{**weights, **swapped})
