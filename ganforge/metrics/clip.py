"""CLIP's picture features, trained on captions and so not limited to ImageNet's classes."""

import warnings
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ganforge.data.dataset import Dataset
from ganforge.errors import GanforgeError
from ganforge.metrics.metric import Extractor
from ganforge.metrics.rgb import check_pictures, to_rgb_bytes
from ganforge.metrics.weights import Published, find_weights, load_weights
from ganforge.registry import register


def published(model: str) -> Published:
    """The file of a model's weights, under the name that torch-fidelity gives it."""
    from torch_fidelity.feature_extractor_clip import MODEL_METADATA, MODEL_URLS

    name = f"clip-{model}"
    sha256 = MODEL_METADATA[name]["hash"]
    return Published(f"{name}-{sha256}.pt", MODEL_URLS[name], sha256)


@register.extractor("clip")
class CLIP(Extractor):
    """The image encoder of CLIP (Radford et al. 2021) in torch-fidelity's port.

    Samples are rounded to 8 bits (of more, over their range), put on white where transparent, grey repeated to RGB,
    resized to the model's 224 or 336 pixels and normalised. The weights are fetched at first use; without a network,
    put them into `extractors/` of the cache folder.

    Args:
        dataset: pictures, grey or RGB.
        cache_dir: folder that keeps the weights.
        model: which of the published ones.
        weights: another path of the file, or a file with the tensors alone.
        sha256: hash of that file, if it is not the published one.
    """

    input = "8 bit RGB, bilinear to the model's size as TensorFlow 1.x"

    def __init__(
        self,
        dataset: Dataset,
        cache_dir: Path,
        *,
        model: Literal["vit-b-32", "vit-b-16", "vit-l-14", "vit-l-14-336px", "rn50"] = "vit-b-32",
        weights: str | None = None,
        sha256: str | None = None,
    ) -> None:
        check_pictures(dataset.spec)
        original = published(model)
        path, self.sha256 = find_weights(original, cache_dir, weights, sha256)
        is_original = self.sha256 == original.sha256
        self.name_of_weights = original.name if is_original else path.name
        state = _archived_tensors(path) if is_original else load_weights(path)
        try:
            with torch.random.fork_rng(devices=[]):  # its layers draw weights before they are loaded
                self._network = _prepared(f"clip-{model}", state)
        except (RuntimeError, KeyError) as error:
            raise GanforgeError(f"{path}: these are not the weights of CLIP: {str(error).splitlines()[0]}") from error

    def __call__(self, samples: Tensor) -> Tensor:
        return self._network.to(samples.device)(to_rgb_bytes(samples))[0]


def _archived_tensors(path: Path) -> dict[str, Any]:
    """The tensors of a TorchScript archive, which is how OpenAI published them; its code is not called."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these files exist in no other format
        return torch.jit.load(path, map_location="cpu").state_dict()


def _prepared(name: str, state: dict[str, Any]) -> torch.nn.Module:
    """torch-fidelity's extractor with tensors that were loaded here, not by itself."""
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase
    from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP, build_model

    class Prepared(FeatureExtractorCLIP):
        def __init__(self) -> None:
            FeatureExtractorBase.__init__(self, name, ["clip"])
            self.feature_extractor_internal_dtype = torch.float32
            self.model = build_model(dict(state), torch.float32)
            self.resolution = self.model.visual.input_resolution
            self.requires_grad_(False)
            self.eval()

    return Prepared()
