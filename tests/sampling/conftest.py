from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ganforge.saved.generator_file import GeneratorConfig, build_generator, flat_state, save_generator
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
