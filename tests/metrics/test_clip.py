import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch_fidelity.feature_extractor_clip import CLIPVisual, FeatureExtractorCLIP

from ganforge.data.digits import digits
from ganforge.data.samples import real_samples
from ganforge.errors import GanforgeError
from ganforge.metrics import clip
from ganforge.metrics.clip import CLIP
from ganforge.metrics.rgb import to_rgb_bytes
from ganforge.metrics.weights import Published

pytestmark = pytest.mark.filterwarnings("ignore")  # tracing, which is how such archives were made, is deprecated


class Small(nn.Module):
    """As OpenAI's archives: an image encoder, small, and a parameter of the text encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = CLIPVisual(8, 32, 2, 64, 16).visual
        self.text_projection = nn.Parameter(torch.randn(4, 8))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.visual(pictures) + 0 * self.text_projection.sum()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return digits(tmp_path_factory.mktemp("digits"), size=32)


@pytest.fixture(scope="module")
def small() -> Small:
    torch.manual_seed(0)
    return Small().eval()


def sha256_of(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@torch.no_grad()
def test_the_published_archive_gives_torch_fidelitys_features(dataset, small, tmp_path, monkeypatch):
    path = tmp_path / "archive.pt"
    traced: Any = torch.jit.trace(small, torch.zeros(1, 3, 32, 32))
    traced.save(path)
    monkeypatch.setattr(clip, "published", lambda model: Published(path.name, path.as_uri(), sha256_of(path)))
    pictures = real_samples(dataset, np.arange(3))
    found = CLIP(dataset, tmp_path)(pictures)
    theirs = FeatureExtractorCLIP("clip-vit-b-32", ["clip"], feature_extractor_weights_path=str(path))
    assert found.shape == (3, 8)
    assert torch.equal(found, theirs(to_rgb_bytes(pictures))[0])


@torch.no_grad()
def test_a_file_of_plain_tensors_will_do_and_an_unknown_archive_is_never_opened(dataset, small, tmp_path):
    plain, archive = tmp_path / "plain.pth", tmp_path / "archive.pt"
    torch.save(small.state_dict(), plain)
    extractor = CLIP(dataset, tmp_path, weights=str(plain), sha256=sha256_of(plain))
    assert extractor(real_samples(dataset, np.arange(2))).shape == (2, 8)
    traced: Any = torch.jit.trace(small, torch.zeros(1, 3, 32, 32))
    traced.save(archive)
    with pytest.raises(GanforgeError, match="cannot be read as plain weights"):
        CLIP(dataset, tmp_path, weights=str(archive), sha256=sha256_of(archive))


def test_tensors_of_another_network_are_refused(dataset, tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(GanforgeError, match="are not the weights of CLIP"):
        CLIP(dataset, tmp_path, weights=str(path), sha256=sha256_of(path))
