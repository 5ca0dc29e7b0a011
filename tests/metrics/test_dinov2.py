import hashlib
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from ganforge.data.digits import digits
from ganforge.data.samples import real_samples
from ganforge.errors import GanforgeError
from ganforge.metrics.dinov2 import DINOv2, published
from ganforge.metrics.vision_transformer import TRAINED_GRID, VisionTransformer


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return digits(tmp_path_factory.mktemp("digits"), size=32)


def randomised(network: nn.Module) -> nn.Module:
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=random))
    return network.eval()


@torch.no_grad()
def test_the_network_is_torchvisions_transformer_where_both_say_the_same():
    """Torchvision's has no layer scale and no resized positions; so scales are 1 and positions are given."""
    ours: Any = randomised(VisionTransformer(width=24, depth=2, heads=3))
    theirs: Any = torchvision.models.VisionTransformer(
        70, 14, num_layers=2, num_heads=3, hidden_dim=24, mlp_dim=96
    ).eval()
    theirs.heads = nn.Identity()
    state = {"class_token": ours.cls_token, "encoder.pos_embedding": ours.positions(5)}
    state |= {f"conv_proj.{name}": value for name, value in ours.patch_embed.proj.state_dict().items()}
    state |= {f"encoder.ln.{name}": value for name, value in ours.norm.state_dict().items()}
    names = {
        "norm1.": "ln_1.",
        "attn.qkv.": "self_attention.in_proj_",
        "attn.proj.": "self_attention.out_proj.",
        "norm2.": "ln_2.",
        "mlp.fc1.": "mlp.0.",
        "mlp.fc2.": "mlp.3.",
    }
    for number, block in enumerate(ours.blocks):
        block.ls1.gamma.fill_(1)
        block.ls2.gamma.fill_(1)
        for name, value in block.state_dict().items():
            for mine, other in names.items():
                if name.startswith(mine):
                    place = f"encoder.layers.encoder_layer_{number}.{other}{name.removeprefix(mine)}"
                    state[place] = value
    theirs.load_state_dict(state)
    pictures = torch.randn(2, 3, 70, 70, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(ours(pictures), theirs(pictures), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_positions_keep_their_places_when_they_are_resized():
    network = VisionTransformer(width=2, depth=1, heads=1)
    rows, columns = torch.meshgrid(*2 * [torch.linspace(0, 1, TRAINED_GRID)], indexing="ij")
    network.pos_embed[0, 1:] = torch.stack([rows, columns], dim=-1).flatten(0, 1)
    network.pos_embed[0, 0] = 7
    assert network.positions(TRAINED_GRID) is network.pos_embed
    resized = network.positions(16)
    assert resized.shape == (1, 1 + 16 * 16, 2)
    assert resized[0, 0].tolist() == [7, 7]
    grid = resized[0, 1:].view(16, 16, 2)
    assert torch.allclose(grid[..., 0], grid[..., 1].T, atol=1e-5)
    assert (grid[1:, :, 0] > grid[:-1, :, 0]).all()


@torch.no_grad()
def test_features_come_from_a_file_of_weights_and_tell_pictures_apart(dataset, tmp_path):
    path = tmp_path / "random.pth"
    torch.save(randomised(VisionTransformer(384, 12, 6)).state_dict(), path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    extractor = DINOv2(dataset, tmp_path, model="vit-s-14", weights=str(path), sha256=sha256)
    features = extractor(real_samples(dataset, np.array([0, 1, 0])))
    assert features.shape == (3, 384)
    torch.testing.assert_close(features[0], features[2])
    assert (features[0] - features[1]).abs().max() > 1e-3
    with pytest.raises(GanforgeError, match="are not the weights of DINOv2 vit-b-14"):
        DINOv2(dataset, tmp_path, model="vit-b-14", weights=str(path), sha256=sha256)
    with pytest.raises(GanforgeError, match=published("vit-s-14").sha256):
        DINOv2(dataset, tmp_path, model="vit-s-14", weights=str(path))
