import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.errors import GanforgeError
from ganforge.saved.generator_config import GeneratorConfig
from ganforge.saved.generator_file import build_generator
from ganforge.search.latents import SearchOptions, search
from ganforge.search.losses import context_loss, context_weights, paste, prior_loss, projection_loss
from ganforge.search.pictures import output_names, read_mask, read_pictures
from ganforge.spec import DataSpec


def test_known_pixels_count_by_how_much_around_them_is_missing():
    missing = torch.zeros(1, 1, 7, 7)
    missing[..., 3, 3:5] = 1.0
    weights = context_weights(missing, window=3)[0, 0]
    assert weights[3, 3] == weights[3, 4] == 0, "a missing pixel says nothing"
    assert weights[0, 0] == weights[3, 1] == 0, "far from the hole"
    assert weights[2, 3] == pytest.approx(2 / 9)
    assert weights[3, 2] == weights[2, 2] == pytest.approx(1 / 9)


def test_the_context_loss_is_a_weighted_sum_of_absolute_differences():
    samples, wanted = torch.zeros(2, 3, 2, 2), torch.ones(2, 3, 2, 2)
    weights = torch.tensor([[[[1.0, 0.5], [0.0, 0.0]]]]).expand(2, 1, 2, 2)
    assert context_loss(samples, wanted, weights).tolist() == [4.5, 4.5]


def test_the_prior_falls_as_the_discriminator_believes():
    samples = torch.tensor([[-3.0], [0.0], [3.0]])
    loss = prior_loss(lambda samples, labels: samples[:, 0], samples, None)  # type: ignore[arg-type]
    torch.testing.assert_close(loss, torch.log(1 - torch.sigmoid(samples[:, 0])))
    assert loss[0] > loss[1] > loss[2]


def test_only_holes_are_pasted():
    missing = torch.tensor([[[[1.0, 0.0]]]])
    assert paste(torch.ones(1, 1, 1, 2), -torch.ones(1, 1, 1, 2), missing).tolist() == [[[[1.0, -1.0]]]]


def untrained(distribution: str = "normal", **options):
    table = {"name": "mlp", "latent_dim": 6, "width": 32, "latent_distribution": distribution, **options}
    config = GeneratorConfig(table, DataSpec((1, 8, 8), ("a", "b", "c")))
    torch.manual_seed(0)
    network = build_generator(config).eval().requires_grad_(False)
    network.config = config  # type: ignore[assignment]
    return network


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_search_finds_the_latents_that_pictures_came_from(distribution):
    network = untrained(distribution)
    latents = torch.rand(3, 6, generator=torch.Generator().manual_seed(1)) * 2 - 1
    wanted = network(latents)
    found = search(network, projection_loss(wanted), 3, SearchOptions(steps=200, restarts=4))
    torch.testing.assert_close(found.samples, wanted, atol=0.02, rtol=0)
    torch.testing.assert_close(found.latents, latents, atol=0.3, rtol=0)
    if distribution == "uniform":
        assert found.latents.abs().max() <= 1


def test_latents_stay_where_the_generator_was_trained():
    network = untrained()
    wanted = torch.ones(1, 1, 8, 8)  # out of reach, so the search would run away
    found = search(network, projection_loss(wanted), 1, SearchOptions(steps=300, restarts=2, lr=0.3))
    assert found.latents.norm() == pytest.approx(6**0.5, rel=1e-3)


def test_a_picture_has_the_same_result_alone_and_among_others_in_small_batches():
    network = untrained()
    wanted = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)) - 0.5
    together = search(network, projection_loss(wanted), 3, SearchOptions(steps=30, restarts=3, batch_size=4))
    alone = search(network, projection_loss(wanted[2:]), 1, SearchOptions(steps=30, restarts=3))
    torch.testing.assert_close(together.latents[2:], alone.latents, atol=1e-4, rtol=1e-4)
    assert together.losses[2] == pytest.approx(float(alone.losses[0]), rel=1e-4)


def test_restarts_of_a_conditional_generator_try_its_classes():
    network = untrained(conditional="embedding")
    latent = torch.randn(3, 6, generator=torch.Generator().manual_seed(0)) * 0.5
    wanted = network(latent, torch.tensor([2, 0, 1]))
    found = search(network, projection_loss(wanted), 3, SearchOptions(steps=250, restarts=9))
    assert found.labels is not None
    assert found.labels.tolist() == [2, 0, 1]
    asked = search(network, projection_loss(wanted), 3, SearchOptions(steps=5, restarts=2, label=1))
    assert asked.labels is not None
    assert asked.labels.tolist() == [1, 1, 1]
    with pytest.raises(GanforgeError, match=r"2 starts do not cover all 3 classes .* `restarts=3` or more"):
        search(network, projection_loss(wanted), 3, SearchOptions(steps=5, restarts=2))


def test_a_search_that_diverges_says_so():
    network = untrained()
    with pytest.raises(GanforgeError, match=r"smaller `lr=...`"):
        search(network, lambda samples, picture, labels: samples.sum((1, 2, 3)) * torch.nan, 1, SearchOptions(steps=2))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_pictures_are_cut_and_resized_to_what_the_generator_makes(tmp_path, mode):
    Image.new(mode, (40, 20), "white").save(tmp_path / "wide.png")
    pictures = read_pictures([tmp_path / "wide.png"], DataSpec((1, 8, 8)))
    assert torch.equal(pictures, torch.ones(1, 1, 8, 8))


def test_masks_are_pictures_or_boxes(tmp_path):
    spec = DataSpec((1, 8, 8))
    mask = np.zeros((16, 16), np.uint8)
    mask[4:8, 8:16] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    expected = torch.zeros(1, 8, 8)
    expected[:, 2:4, 4:8] = 1.0
    assert torch.equal(read_mask("4,2,8,4", spec), expected)
    assert torch.equal(read_mask(str(tmp_path / "mask.png"), spec), expected)


@pytest.mark.parametrize("shade", ["white", "black"])
def test_a_mask_without_hole_or_without_rest_is_refused(tmp_path, shade):
    Image.new("L", (8, 8), shade).save(tmp_path / "mask.png")
    with pytest.raises(GanforgeError, match="paint what is missing white"):
        read_mask(str(tmp_path / "mask.png"), DataSpec((1, 8, 8)))
    with pytest.raises(GanforgeError, match="everything is missing"):
        read_mask("0,0,8,8", DataSpec((1, 8, 8)))


@pytest.mark.parametrize(
    "text", ["2,2,6", "6,2,2,6", "2,2,60,6", "2,6,6,2", "3,3,3,3", "-1,0,4,4", "1.5,0,4,4", "1,2,3,4,5"]
)
def test_a_box_that_is_none_or_leaves_the_picture_is_refused_in_words(text):
    with pytest.raises(
        GanforgeError, match=r"left,top,right,bottom .* 0 <= left < right <= 9 and 0 <= top < bottom <= 8"
    ):
        read_mask(text, DataSpec((1, 8, 9)))


def test_results_of_pictures_with_the_same_name_do_not_overwrite_each_other(tmp_path):
    assert output_names([tmp_path / "a.png", tmp_path / "b" / "a.jpg", tmp_path / "c.png"]) == ["a", "a-2", "c"]


@pytest.mark.parametrize(
    ("name", "data", "message"), [("none.png", None, "cannot be read"), ("junk.png", b"junk", "is not a picture")]
)
def test_a_picture_that_cannot_be_read_is_named(tmp_path, name, data, message):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(GanforgeError, match=f"{name}: .*{message}"):
        read_pictures([tmp_path / name], DataSpec((1, 8, 8)))
