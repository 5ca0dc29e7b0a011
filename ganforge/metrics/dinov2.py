"""DINOv2's features, whose Fréchet distance (FD-DINOv2) follows people's judgement more closely than Inception's."""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ganforge.data.dataset import Dataset
from ganforge.errors import GanforgeError
from ganforge.metrics.metric import Extractor
from ganforge.metrics.rgb import check_pictures, to_rgb_bytes
from ganforge.metrics.vision_transformer import VisionTransformer
from ganforge.metrics.weights import Published, find_weights, load_weights
from ganforge.registry import register

SHAPES: dict[str, tuple[int, int, int]] = {
    "vit-s-14": (384, 12, 6),
    "vit-b-14": (768, 12, 12),
    "vit-l-14": (1024, 24, 16),
}
"""Width, depth and heads."""

HASHES = {
    "vit-s-14": "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
    "vit-b-14": "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",
    "vit-l-14": "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
}


def published(model: str) -> Published:
    """The file of a model's weights."""
    name = f"dinov2_{model.replace('-', '')}"
    file = f"{name}_pretrain.pth"
    return Published(file, f"https://dl.fbaipublicfiles.com/dinov2/{name}/{file}", HASHES[model])


@register.extractor("dinov2")
class DINOv2(Extractor):
    """DINOv2's class token (Oquab et al. 2023); with `fid` it gives FD-DINOv2 (Stein et al. 2023).

    Samples are rounded to 8 bits (of more, over their range), put on white where transparent, grey repeated to RGB,
    resized to 224x224 and normalised by torch-fidelity. The weights are fetched at first use; without a network, put
    them into `extractors/` of the cache folder.

    Args:
        dataset: pictures, grey or RGB.
        cache_dir: folder that keeps the weights.
        model: its size; papers take the largest of these.
        weights: another path of the file.
        sha256: hash of that file, if it is not the published one.
    """

    input = "8 bit RGB, bilinear to 224x224 as TensorFlow 1.x"

    def __init__(
        self,
        dataset: Dataset,
        cache_dir: Path,
        *,
        model: Literal["vit-s-14", "vit-b-14", "vit-l-14"] = "vit-l-14",
        weights: str | None = None,
        sha256: str | None = None,
    ) -> None:
        check_pictures(dataset.spec)
        original = published(model)
        path, self.sha256 = find_weights(original, cache_dir, weights, sha256)
        self.name_of_weights = original.name if self.sha256 == original.sha256 else path.name
        with torch.random.fork_rng(devices=[]):  # its layers draw weights before they are loaded
            network = VisionTransformer(*SHAPES[model])
        try:
            network.load_state_dict(load_weights(path))
        except RuntimeError as error:
            raise GanforgeError(
                f"{path}: these are not the weights of DINOv2 {model}: {str(error).splitlines()[0]}"
            ) from error
        self._network = _prepared(f"dinov2-{model}", network)

    def __call__(self, samples: Tensor) -> Tensor:
        return self._network.to(samples.device)(to_rgb_bytes(samples))[0]


def _prepared(name: str, network: VisionTransformer) -> torch.nn.Module:
    """torch-fidelity's extractor with a network that was built here, instead of by running code from the internet."""
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase
    from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

    class Prepared(FeatureExtractorDinoV2):
        def __init__(self) -> None:
            FeatureExtractorBase.__init__(self, name, ["dinov2"])
            self.feature_extractor_internal_dtype = torch.float32
            self.model = network
            self.requires_grad_(False)
            self.eval()

    return Prepared()
