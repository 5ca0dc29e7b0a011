"""The real Inception with random weights that behave: He initialisation, batch norm calibrated on pictures."""

import io
from pathlib import Path

import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3


class _Unloaded(FeatureExtractorInceptionV3):
    """Keeps the weights that it is made with."""

    def load_state_dict(self, state_dict, *args, **kwargs):
        return super().load_state_dict(state_dict, *args, **kwargs) if state_dict else None


def save_random_inception(path: Path, pictures: Tensor) -> None:
    """A weights file as torch-fidelity's.

    Args:
        path: of the file.
        pictures: uint8 `(batch, 3, height, width)` that batch norm is calibrated on, up to the 64-feature layer.
    """
    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = _Unloaded("random", ["64"], feature_extractor_weights_path=nothing)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # a plain mean over the batches
    network.train()
    with torch.no_grad():
        for part in pictures.split(16):
            network(part)
    torch.save(network.state_dict(), path)
