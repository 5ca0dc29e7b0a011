from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ganforge.saved.generator_config import GeneratorConfig
from ganforge.saved.generator_file import build_generator, flat_state, save_generator
from ganforge.spec import DataSpec

CLASSES = ("cat", "dog", "eel")


@pytest.fixture
def make_generator(tmp_path: Path) -> Callable[..., Path]:
    """`make_generator("mlp", shape=(1, 8, 8), conditional="embedding")`: a file of an untrained generator."""

    def make(name: str = "mlp", *, shape: tuple[int, ...] = (1, 8, 8), classes=CLASSES, **options) -> Path:
        config = GeneratorConfig({"name": name, "width": 16, "latent_dim": 8, **options}, DataSpec(shape, classes))
        torch.manual_seed(0)
        path = tmp_path / f"{name}-{'-'.join(map(str, options.values()))}.safetensors"
        save_generator(path, flat_state(build_generator(config)), config)
        return path

    return make


@pytest.fixture
def styled(tmp_path: Path) -> Path:
    """A file of an untrained stylegan2 whose mean style is not 0."""
    options = {"latent_dim": 8, "w_dim": 8, "mapping_layers": 2, "channel_base": 64, "channel_max": 8}
    config = GeneratorConfig({"name": "stylegan2", **options}, DataSpec((1, 16, 16)))
    torch.manual_seed(0)
    network = build_generator(config)
    network.get_buffer("mapping.w_avg").normal_()
    save_generator(tmp_path / "styled.safetensors", flat_state(network), config)
    return tmp_path / "styled.safetensors"
