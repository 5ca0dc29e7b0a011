import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from random_inception import save_random_inception
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchvision.transforms.functional import gaussian_blur

from ganforge.data.digits import digits
from ganforge.data.samples import real_samples
from ganforge.data.synthetic import Ring
from ganforge.errors import GanforgeError
from ganforge.metrics import inception
from ganforge.metrics.frechet import FrechetDistance
from ganforge.metrics.inception import InceptionV3, cleanly_resized
from ganforge.metrics.rgb import to_rgb_bytes
from ganforge.metrics.weights import Published


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return digits(tmp_path_factory.mktemp("digits"), size=32)


@pytest.fixture(scope="module")
def pictures(dataset):
    return real_samples(dataset, np.arange(64))


@pytest.fixture(scope="module")
def weights(tmp_path_factory, pictures):
    """The real network's file with random weights, and its sha256."""
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    save_random_inception(path, to_rgb_bytes(pictures[:16]))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def extractor(dataset, weights, tmp_path_factory):
    path, sha256 = weights
    return InceptionV3(dataset, tmp_path_factory.mktemp("cache"), weights=str(path), sha256=sha256, layer="64")


@pytest.mark.slow
@torch.no_grad()
def test_the_distance_grows_with_noise_and_with_blur(pictures, extractor):
    reals, seen = extractor(pictures[32:64]), pictures[:16]
    noise = torch.randn(seen.shape, generator=torch.Generator().manual_seed(0))

    def distance(fakes: torch.Tensor) -> float:
        return FrechetDistance()(extractor(fakes), reals)["fid"]

    clean = distance(seen)
    noisy = [distance(seen + amount * noise) for amount in (0.2, 0.6)]
    blurred = [distance(gaussian_blur(seen, [9, 9], [sigma, sigma])) for sigma in (1.0, 2.0)]
    assert clean < noisy[0] < noisy[1]
    assert clean < blurred[0] < blurred[1]


@torch.no_grad()
def test_features_and_logits_are_torch_fidelitys_own_from_one_forward(dataset, pictures, weights, tmp_path):
    path, sha256 = weights
    ours = InceptionV3(dataset, tmp_path, weights=str(path), sha256=sha256)
    found = ours.extract(pictures[:2], {"features", "logits"})
    theirs = FeatureExtractorInceptionV3("x", ["2048", "logits_unbiased"], feature_extractor_weights_path=path)
    features, logits = theirs(to_rgb_bytes(pictures[:2]))
    assert torch.equal(found["features"], features)
    assert torch.equal(found["logits"], logits)
    assert found["features"].shape == (2, 2048)
    assert ours.sha256 == sha256


def test_pictures_come_to_the_network_with_the_bytes_that_they_were_stored_with(dataset, pictures):
    rows = np.empty((64, *dataset.row_shape), dtype=np.uint8)
    dataset.read(np.arange(64), rows)
    seen = to_rgb_bytes(pictures)
    assert seen.dtype == torch.uint8
    assert np.array_equal(seen.permute(0, 2, 3, 1).numpy(), rows.repeat(3, axis=3))
    assert to_rgb_bytes(torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]).view(1, 1, 1, 5))[0, 0, 0].tolist() == [
        0,
        0,
        128,
        255,
        255,
    ]


def test_without_weights_and_network_one_line_says_which_file_goes_where(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    nowhere = Published("w.pth", "http://127.0.0.1:9/w.pth", inception.ORIGINAL.sha256)
    monkeypatch.setattr(inception, "ORIGINAL", nowhere)
    with pytest.raises(GanforgeError) as error:
        InceptionV3(dataset, tmp_path)
    text = str(error.value)
    assert "\n" not in text
    assert f"put {nowhere.url} at {tmp_path / 'extractors' / 'w.pth'} (sha256 {nowhere.sha256})" in text


def test_weights_are_fetched_once_and_only_with_the_published_hash(dataset, weights, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    path, sha256 = weights
    monkeypatch.setattr(inception, "ORIGINAL", Published("w.pth", path.as_uri(), "0" * 64))
    with pytest.raises(GanforgeError, match="sha256"):
        InceptionV3(dataset, tmp_path, layer="64")
    assert not (tmp_path / "extractors" / "w.pth").exists()
    monkeypatch.setattr(inception, "ORIGINAL", Published("w.pth", path.as_uri(), sha256))
    assert InceptionV3(dataset, tmp_path, layer="64").name_of_weights == "w.pth"
    monkeypatch.setattr(inception, "ORIGINAL", Published("w.pth", "file:///nowhere", sha256))
    InceptionV3(dataset, tmp_path, layer="64")
    with (tmp_path / "extractors" / "w.pth").open("ab") as file:
        file.write(b"!")
    with pytest.raises(GanforgeError, match="its sha256 is"):
        InceptionV3(dataset, tmp_path, layer="64")


def test_another_file_is_refused_unless_its_hash_is_given(dataset, weights, tmp_path):
    with pytest.raises(GanforgeError, match="give its sha256"):
        InceptionV3(dataset, tmp_path, weights=str(weights[0]))
    with pytest.raises(GanforgeError, match="is not a file; put https"):
        InceptionV3(dataset, tmp_path, weights=str(tmp_path / "absent.pth"))


class OpensAFile:
    """What an attacker would put into a weights file: unpickling it writes to the disk."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self):
        return open, (self.marker, "w")


def test_a_weights_file_never_runs_code(dataset, tmp_path):
    path, marker = tmp_path / "evil.pth", tmp_path / "ran"
    torch.save({"weight": torch.zeros(1), "evil": OpensAFile(str(marker))}, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(GanforgeError, match="cannot be read as plain weights"):
        InceptionV3(dataset, tmp_path, weights=str(path), sha256=sha256)
    assert not marker.exists()


def test_tensors_of_another_network_are_refused_by_name(dataset, tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(1)}, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(GanforgeError, match="are not the weights of inception-v3-compat"):
        InceptionV3(dataset, tmp_path, weights=str(path), sha256=sha256)


def test_points_are_refused(tmp_path):
    with pytest.raises(ValueError, match="grey or RGB pictures, and the dataset has points"):
        InceptionV3(Ring(samples=10), tmp_path)


def test_making_it_leaves_the_random_state_alone(dataset, weights, tmp_path):
    path, sha256 = weights
    torch.manual_seed(3)
    before = torch.get_rng_state()
    InceptionV3(dataset, tmp_path, weights=str(path), sha256=sha256, layer="64")
    assert torch.equal(torch.get_rng_state(), before)


def test_clean_resizing_is_pillows_with_a_low_pass_filter():
    """What clean-fid does (Parmar et al. 2022), but for the rounding: bicubic on floats, each channel by itself."""
    random = np.random.default_rng(0)
    for size in (64, 500):
        pixels = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
        channels = [Image.fromarray(pixels[..., k].astype(np.float32), mode="F") for k in range(3)]
        expected = np.stack([np.asarray(each.resize((299, 299), Image.Resampling.BICUBIC)) for each in channels])
        found = cleanly_resized(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0].numpy()
        assert np.abs(found - expected.clip(0, 255)).max() <= 0.51


def test_the_convention_of_resizing_is_a_part_of_the_protocol_and_the_cache(dataset, weights, pictures, tmp_path):
    path, sha256 = weights
    legacy, clean = (
        InceptionV3(dataset, tmp_path, weights=str(path), sha256=sha256, layer="64", resize=resize)
        for resize in ("legacy", "clean")
    )
    assert clean.name_of_weights == f"{legacy.name_of_weights} clean"
    assert "TensorFlow 1.x" in legacy.input
    assert "antialiasing" in clean.input
    assert not torch.equal(legacy(pictures[:2]), clean(pictures[:2]))
