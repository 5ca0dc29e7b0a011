import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from ganforge.grid import cell_of, picture_of, to_uint8
from ganforge.sampling import Sampler, open_generator
from ganforge.sampling.film import write_film
from ganforge.sampling.interpolate import between, slerp, walk

ENDS = torch.tensor([[2.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 4.0], [2.0, 2.0]])


def test_slerp_goes_round_the_origin_and_not_past_it():
    path = slerp(*ENDS, torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(path[0], ENDS[0])
    torch.testing.assert_close(path[2], ENDS[1])
    torch.testing.assert_close(path[1, 0], torch.tensor([3.0, 3.0]) / math.sqrt(2))  # 45 degrees, half way in length
    torch.testing.assert_close(path[1, 1], torch.tensor([1.5, 1.5]))  # the same direction: a straight line


def test_steps_of_a_walk_are_even():
    start, end = torch.randn(2, 1, 64, generator=torch.Generator().manual_seed(0))
    path = slerp(start, end, torch.linspace(0, 1, 9))[:, 0]
    directions = path / path.norm(dim=1, keepdim=True)
    angles = (directions[1:] * directions[:-1]).sum(dim=1).acos()
    torch.testing.assert_close(angles, angles.mean().expand(8), rtol=1e-3, atol=1e-3)
    lengths = path.norm(dim=1)
    torch.testing.assert_close(lengths, torch.linspace(float(lengths[0]), float(lengths[-1]), 9))


def test_uniform_latents_walk_straight_and_stay_in_their_cube():
    path = between(torch.tensor([[1.0, 1.0]]), torch.tensor([[-1.0, 1.0]]), torch.tensor([0.5]), "uniform")
    assert path.tolist() == [[[0.0, 1.0]]]


@pytest.mark.parametrize("loop", [False, True])
def test_a_walk_stops_at_the_samples_of_its_seed(make_generator, loop):
    sampler = Sampler(open_generator(make_generator(conditional="none"), device="cpu"), seed=5)
    pictures = walk(sampler, walks=2, stops=3, frames=4, loop=loop)
    assert len(pictures) == (12 if loop else 9)
    samples = sampler.many(6).view(2, 3, 1, 8, 8)
    for stop in range(3):
        torch.testing.assert_close(pictures[4 * stop], samples[:, stop], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(pictures[2], (pictures[0] + pictures[4]) / 2), "pictures are mixed, not latents"


@pytest.mark.parametrize(("ending", "frames"), [("gif", 9), ("mp4", 9), ("png", 1)])
def test_interpolate_writes_a_strip_or_a_film(make_generator, ganforge, tmp_path, ending, frames):
    out = tmp_path / f"walk.{ending}"
    done = ganforge("interpolate", make_generator(), "--out", out, "--stops", 3, "--frames", 4, "--walks", 2)
    assert (done.code, done.err) == (0, "")
    shown = read_frames(out)
    assert len(shown) == frames
    if ending == "png":
        assert shown[0].size == (9 * 98 + 2, 2 * 98 + 2)
    else:
        assert np.abs(np.asarray(shown[0], int) - np.asarray(shown[-1], int)).mean() > 1, "nothing moves"


def read_frames(path: Path) -> list[Image.Image]:
    if path.suffix == ".mp4":
        import av

        with av.open(str(path)) as film:
            return [frame.to_image().convert("L") for frame in film.decode(video=0)]
    return [frame.convert("L").copy() for frame in ImageSequence.Iterator(Image.open(path))]


def test_a_film_plays_at_its_speed(tmp_path):
    frames = [Image.new("RGB", (15, 9), (level, 0, 0)) for level in (0, 100, 200)]
    write_film(frames, tmp_path / "film.gif", fps=5)
    assert Image.open(tmp_path / "film.gif").info["duration"] == 200
    write_film(frames, tmp_path / "film.mp4", fps=5)
    import av

    with av.open(str(tmp_path / "film.mp4")) as film:
        assert float(film.streams.video[0].average_rate or 0) == 5
        shown = [frame.to_image() for frame in film.decode(video=0)]
    assert shown[0].size == (16, 10), "H.264 wants even sides"
    assert [abs(picture.getpixel((4, 4))[0] - level) < 12 for picture, level in zip(shown, (0, 100, 200), strict=True)]


@pytest.mark.parametrize(
    ("name", "message"),
    [("walk.xyz", "cannot be written: unknown file extension"), ("folder/../walk", "cannot be written")],
)
def test_an_ending_that_nobody_knows_is_refused(make_generator, ganforge, tmp_path, name, message):
    done = ganforge("interpolate", make_generator(), "--out", tmp_path / name)
    assert done.code == 2
    assert message in done.err


def test_points_are_not_interpolated(make_generator, ganforge, tmp_path):
    done = ganforge("interpolate", make_generator(shape=(2,)), "--out", tmp_path / "walk.png")
    assert done.err == "ganforge: interpolate shows pictures, and this generator makes points in 2 dimensions\n"


@pytest.mark.parametrize("count", [1, 5, 9, 64])
def test_a_picture_comes_out_of_a_grid_as_it_went_in(count):
    samples = torch.rand(count, 3, 12, 10, generator=torch.Generator().manual_seed(0)) * 2 - 1
    grid = picture_of(samples)
    assert not np.asarray(grid)[:, :2].any(), "a black border goes round the grid"
    for index in range(count):
        cell = cell_of(grid, index, count, (12, 10))
        np.testing.assert_array_equal(np.asarray(cell), to_uint8(samples)[index])
    assert cell_of(grid, 0, 100, (12, 10)) is None


@pytest.fixture
def evolving(make_generator, tmp_path):
    """A run folder with grids of 9 pictures that become lighter."""
    run = tmp_path / "run"
    (run / "samples").mkdir(parents=True)
    make_generator().rename(run / "generator.last.safetensors")
    (run / "recipe.resolved.toml").write_text("[samples]\nnum = 9\n")
    for step in (0, 50, 1000):
        levels = torch.linspace(-1, 0.5, 9)[:, None, None, None] + step / 2000
        picture_of(levels.expand(9, 1, 8, 8)).save(run / "samples" / f"step-{step:08d}.png")
    return run


def test_evolve_follows_one_picture_through_the_grids(evolving, ganforge, tmp_path):
    out = tmp_path / "evolution.png"
    done = ganforge("evolve", evolving, "--index", 4, "--out", out)
    assert (done.code, done.out) == (0, f"3 grids from step 0 to 1,000 in {out}\n")
    strip = Image.open(out)
    expected = to_uint8(torch.linspace(-1, 0.5, 9)[4] + torch.tensor([0, 0.025, 0.5]).view(3, 1, 1, 1)).flatten()
    pixels = np.asarray(strip)
    assert [pixels[60, 60 + 130 * column, 0] for column in range(3)] == expected.tolist()


def test_evolve_shows_whole_grids_and_holds_the_last(evolving, ganforge, tmp_path):
    done = ganforge("evolve", evolving, "--out", tmp_path / "evolution.mp4", "--fps", 4)
    assert done.code == 0, done.err
    assert len(read_frames(tmp_path / "evolution.mp4")) == 3 + 8


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (lambda run: [path.unlink() for path in run.glob("samples/*")], (), "has no samples/step-"),
        (lambda run: None, ("--index", 9), "--index 9: the grids show 9 pictures, 0 to 8"),
        (
            lambda run: (run / "recipe.resolved.toml").write_text("[samples]\nnum = 100\n"),
            ("--index", 9),
            "does not show 100 pictures; was samples.num changed on the way?",
        ),
    ],
)
def test_what_evolve_cannot_show_is_said_in_words(evolving, ganforge, tmp_path, change, arguments, message):
    change(evolving)
    done = ganforge("evolve", evolving, "--out", tmp_path / "evolution.gif", *arguments)
    assert done.code == 2
    assert message in done.err
