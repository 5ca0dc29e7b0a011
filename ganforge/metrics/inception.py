"""Inception's features, the ones that the FID of the papers is about."""

import io
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from ganforge.data.dataset import Dataset
from ganforge.errors import GanforgeError
from ganforge.metrics.metric import Extractor, View
from ganforge.metrics.rgb import check_pictures, to_rgb_bytes
from ganforge.metrics.weights import Published, find_weights, load_weights
from ganforge.registry import register

NAME = "inception-v3-compat"

ORIGINAL = Published(
    name="weights-inception-2015-12-05-6726825d.pth",
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)
"""TensorFlow's Inception of 2015 as torch-fidelity converted and published it."""


SIDE = 299
CLEAN = "8 bit RGB, bicubic with antialiasing to 299x299, rounded to 8 bits"


def cleanly_resized(pictures: Tensor) -> Tensor:
    """Pictures uint8 `(batch, 3, height, width)` at 299x299, with a low-pass filter where they shrink."""
    resized = functional.interpolate(
        pictures.float(), (SIDE, SIDE), mode="bicubic", antialias=True, align_corners=False
    )
    return resized.round().clamp(0, 255).to(torch.uint8)


@register.extractor(NAME)
class InceptionV3(Extractor):
    """Inception v3 as the original FID used it, in torch-fidelity's port; what `fid`, `kid` and `is` mean in papers.

    Samples are rounded to 8 bits, grey ones repeated to RGB, and resized to 299x299 as TensorFlow 1 did. The weights
    (95 MB) are fetched at first use; without a network, put them into `extractors/` of the cache folder.

    Args:
        dataset: pictures, grey or RGB.
        cache_dir: folder that keeps the weights.
        weights: another path of the file.
        sha256: hash of that file, if it is not the published one.
        layer: which features: the pooled 2048 of the papers, or an earlier block's, which are cheaper.
        resize: how samples come to 299x299: bilinearly, without a low-pass filter where they shrink, as TensorFlow 1
            did and the FID of most papers has it (`legacy`), or bicubically with one (`clean`, Parmar et al. 2022,
            whose weights and resizing are these, but for a rounding to 8 bits here). It is a part of the protocol;
            figures of the two do not compare.
    """

    has_logits: ClassVar = True
    input = "8 bit RGB, bilinear to 299x299 as TensorFlow 1.x"

    def __init__(
        self,
        dataset: Dataset,
        cache_dir: Path,
        *,
        weights: str | None = None,
        sha256: str | None = None,
        layer: Literal["64", "192", "768", "2048"] = "2048",
        resize: Literal["legacy", "clean"] = "legacy",
    ) -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        check_pictures(dataset.spec)
        path, self.sha256 = find_weights(ORIGINAL, cache_dir, weights, sha256)
        self.name_of_weights = ORIGINAL.name if self.sha256 == ORIGINAL.sha256 else path.name
        self._layer, self._is_clean = layer, resize == "clean"
        if self._is_clean:
            self.input = CLEAN
            self.name_of_weights += " clean"  # other features, so another cache
        # torch-fidelity unpickles the file that it is given, so it is given one that was written here.
        plain = io.BytesIO()
        torch.save(load_weights(path), plain)
        plain.seek(0)
        try:
            with torch.random.fork_rng(devices=[]):  # its layers draw weights before they are loaded
                self._network = FeatureExtractorInceptionV3(NAME, [layer], feature_extractor_weights_path=plain)
        except RuntimeError as error:
            raise GanforgeError(f"{path}: these are not the weights of {NAME}: {str(error).splitlines()[0]}") from error

    def __call__(self, samples: Tensor) -> Tensor:
        return self.extract(samples, {"features"})["features"]

    def extract(self, samples: Tensor, views: Collection[View]) -> dict[View, Tensor]:
        layers: dict[View, str] = {"features": self._layer, "logits": "logits_unbiased"}
        self._network.to(samples.device)
        self._network.features_list = [layers[view] for view in views]  # it stops at the last layer that is wanted
        pictures = to_rgb_bytes(samples)
        found = self._network(cleanly_resized(pictures) if self._is_clean else pictures)
        return dict(zip(views, found, strict=True))
