"""Games whose generator is given pictures: they train, resume, and are the same on any number of ranks."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from same_run import assert_same_run
from torch import Tensor
from two_processes import DDP

from ganforge.errors import RecipeError
from ganforge.game.pool import Pool
from ganforge.game.turn import Turn
from ganforge.game.ways import BothWays
from ganforge.saved.checkpoint import whole_checkpoints
from ganforge.saved.generator_file import load_generator, read_config
from ganforge.training.run import Run
from ganforge.training.step import move
from training.ways import ZERO, assert_close, assert_equal, needs_deepspeed, on_two, outcome

SMALL: dict[str, Any] = {
    "data": {"name": "digits", "size": 16, "part": "train"},
    "generator": {"name": "unet_translator", "width": 4, "depth": 2},
    "discriminator": {
        "name": "unet_patch",
        "decoder": False,
        "judge": "patches",
        "width": 4,
        "depth": 2,
        "norm": "none",
    },
    "training": {"steps": 4, "batch_size": 8, "log_every": 1},
    "samples": {"every": 2, "num": 4},
    "checkpoint": {"every": 2, "keep_last": 10},
}
PAIRED: dict[str, Any] = {
    **SMALL,
    "degrade": [{"name": "downsample", "factor": 4}, {"name": "noise"}, {"name": "box", "anywhere": True}],
    "discriminator": {**SMALL["discriminator"], "sees_source": True},
    "penalties": [{"name": "pixel"}, {"name": "r1", "gamma": 0.01, "interval": 2}],
    "evaluation": {
        "metrics": ["ssim", "psnr"],
        "data": {"name": "digits", "size": 16, "part": "held_out"},
        "num_fakes": 32,
        "num_reals": 32,
        "every": 2,
    },
}
UNPAIRED: dict[str, Any] = {
    **SMALL,
    "data": {**SMALL["data"], "limit": 100},
    "domain": {"name": "digits", "size": 16, "part": "held_out", "limit": 100},
    "generator": {"name": "resnet_translator", "width": 4, "blocks": 1},
    "objective": "lsgan",
    "penalties": ["cycle", "identity"],
    "training": {**SMALL["training"], "pool": 6},
}
GAMES = {"paired": PAIRED, "unpaired": UNPAIRED}
each_game = pytest.mark.parametrize("game", GAMES)


def turns_of(run: Run) -> list[Turn]:
    return run.game.turns(run.generator, 0, 0)


@each_game
def test_a_run_that_was_interrupted_is_the_run_that_was_not(make_recipe, train_silently, game: str) -> None:
    """Numbers of degradations, both orders of an unpaired game, and the pool of fakes."""
    for name in ("whole", "parts"):
        train_silently(make_recipe(**GAMES[game], name=name))
    parts = make_recipe(**GAMES[game], name="parts")
    whole_checkpoints(parts.folder / "checkpoints")[-1].rename(parts.folder / "checkpoints" / "gone")
    train_silently(parts)
    assert_same_run(make_recipe(**GAMES[game], name="whole").folder, parts.folder)


@pytest.mark.xdist_group("processes")
@each_game
def test_two_ranks_are_one(make_recipe, tmp_path, game: str) -> None:
    table = {
        **GAMES[game],
        "training": {**SMALL["training"], "steps": 5},
        "penalties": GAMES[game]["penalties"][:1],
        "optimizer": {role: {"name": "sgd", "lr": 0.01} for role in ("generator", "discriminator")},
        "evaluation": {},
    }
    two = on_two(make_recipe(**table), tmp_path / "two", DDP)
    assert_equal(two[0], two[1])
    alone = outcome(make_recipe(**table, name="alone"))
    assert_close(two[0], alone, rtol=2e-4, atol=1e-5)


@pytest.mark.slow
@needs_deepspeed
@pytest.mark.xdist_group("processes")
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_two_ways_train_sharded(make_recipe, tmp_path, stage: int) -> None:
    two = on_two(make_recipe(**UNPAIRED), tmp_path / "two", ZERO[stage])
    assert_equal(two[0], two[1])
    assert all(np.isfinite(line["generator/cycle"]) for line in two[0]["losses"])


def test_what_d_sees_of_a_pair_is_the_sample_beside_its_own_source(make_recipe) -> None:
    run = Run.build(make_recipe(**PAIRED))
    (turn,) = turns_of(run)
    assert turn.source.shape == (8, 1, 4, 4)
    assert turn.seen(turn.real[:3]).shape == (3, 2, 16, 16)
    clean = torch.nn.functional.avg_pool2d(turn.real, 4)
    kept = turn.source[:, :, 0, 0] != 0
    distance = (clean[:, :, 0, 0] - turn.source[:, :, 0, 0]).abs()
    assert distance[kept].mean() < (clean.roll(1, 0)[:, :, 0, 0] - turn.source[:, :, 0, 0]).abs()[kept].mean() + 0.2
    assert torch.equal(turn.seen(turn.real)[:, 1, 0, 0], turn.source[:, 0, 0, 0])
    run.close()


def test_two_domains_of_one_size_are_read_in_orders_of_their_own(make_recipe) -> None:
    """Under one seed two datasets of one size have the same order, and unpaired data would come as fixed pairs."""
    run = Run.build(make_recipe(**{**UNPAIRED, "domain": UNPAIRED["data"]}))
    same = 0
    for _ in range(12):
        (turn,) = turns_of(run)
        same += int((turn.source == turn.real).flatten(1).all(dim=1).sum())
    assert same <= 6  # of 96; 1 in 100 by chance
    run.close()


def test_both_ways_begin_with_weights_of_their_own_and_see_each_others_samples(make_recipe) -> None:
    run = Run.build(make_recipe(**UNPAIRED))
    for network in (run.networks.generator, run.networks.discriminator):
        assert isinstance(network, BothWays)
        pairs = zip(network.there.parameters(), network.back.parameters(), strict=True)
        assert any(not torch.equal(one, other) for one, other in pairs)
    (turn,) = turns_of(run)
    assert turn.back is not None
    assert turn.back.back is turn
    assert torch.equal(turn.source, turn.back.real)
    assert torch.equal(turn.real, turn.back.source)
    run.close()


def test_a_games_file_holds_both_ways_and_loads_either(make_recipe, train_silently) -> None:
    recipe = make_recipe(**UNPAIRED)
    train_silently(recipe)
    config = read_config(recipe.folder)
    assert config.ways == ("there", "back")
    assert config.source is not None
    pictures = torch.rand(2, 1, 24, 20)
    there, back = (load_generator(recipe.folder, way=way)(pictures) for way in ("there", "back"))
    assert there.shape == back.shape == pictures.shape
    assert not torch.equal(there, back)


def test_a_sheet_shows_source_translation_and_target(make_recipe, train_silently) -> None:
    recipe = make_recipe(**PAIRED)
    train_silently(recipe)
    with Image.open(recipe.files.sample_grid(4)) as sheet:
        assert sheet.width > 2.5 * sheet.height


@pytest.mark.parametrize(
    ("game", "changes", "words"),
    [
        ("unpaired", {"penalties": ["pixel"]}, "compares each sample with its target"),
        ("paired", {"penalties": ["cycle"]}, "name it in [domain]"),
        ("paired", {"penalties": ["identity"]}, "differ in size"),
        ("unpaired", {"penalties": ["cycle", "lecam"]}, "'lecam' remembers one game"),
        ("unpaired", {"evaluation": {"metrics": ["ssim"]}}, "evaluation.data and evaluation.domain"),
        ("paired", {"evaluation": {**PAIRED["evaluation"], "metrics": ["psnr"]}}, "'psnr' prefers blurred"),
        ("paired", {"evaluation": {**PAIRED["evaluation"], "num_fakes": 30}}, "evaluation.num_fakes = 32"),
        ("paired", {"data": {"name": "ring"}, "evaluation": {}}, "downsample': degrades pictures"),
        ("paired", {"degrade": [{"name": "downsample", "factor": 3}]}, "use one of 2, 4, 8, 16"),
        ("unpaired", {"generator": {"name": "resnet_translator", "halvings": 4}}, "choose fewer halvings"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(make_recipe, game: str, changes: dict, words: str) -> None:
    table = {**GAMES[game], **changes}
    if changes.get("evaluation") == {}:
        table.pop("evaluation")
    with pytest.raises(RecipeError) as error:
        Run.build(make_recipe(**table))
    assert words in str(error.value)


def test_the_doctor_takes_figures_of_translations_that_see_their_source(make_recipe) -> None:
    for table in GAMES.values():
        run = Run.build(make_recipe(**{**table, "training": {**table["training"], "log_every": 1, "batch_size": 16}}))
        move(run, run.discriminator, run.generator)
        turns = run.game.turns(run.discriminator, 0, 0)
        run.discriminator.learn(turns[-1])
        assert run.probe is not None
        figures = run.probe.look(run.discriminator, turns[-1])
        assert "health/separation".removeprefix("health/") in figures
        assert "spread" not in figures, "a translation's variety is its sources'"
        assert ("change" in figures) is (table is UNPAIRED)
        run.close()


def test_a_pool_shows_half_of_what_was_and_keeps_what_took_its_place() -> None:
    torch.manual_seed(0)
    pool = Pool(4)
    first = torch.arange(4.0).view(4, 1)
    assert torch.equal(pool(first), first)
    later = torch.arange(100.0, 164.0).view(64, 1)
    shown = pool(later)
    changed = (shown != later).squeeze(1)
    assert 20 <= int(changed.sum()) <= 44
    again = Pool(4)
    again.load_state_dict(pool.state_dict())
    torch.manual_seed(1)
    one = pool(later)
    torch.manual_seed(1)
    assert torch.equal(one, again(later))
    smaller = Pool(2)
    smaller.load_state_dict(pool.state_dict())
    kept = smaller.state_dict()["kept"]
    assert isinstance(kept, Tensor)
    assert len(kept) == 2


PLUGIN = '''
"""A degradation, a translator and a penalty from outside the tree."""

import torch
from torch import Tensor, nn

from ganforge import register
from ganforge.degradations import Degradation
from ganforge.game.penalty import Penalty
from ganforge.game.turn import Turn
from ganforge.spec import DataSpec


@register.degradation("mirrored_by_plugin")
class Mirrored(Degradation):
    """Left to right."""

    def forward(self, pictures: Tensor, numbers: Tensor) -> Tensor:
        return pictures.flip(3)


@register.generator("one_layer_by_plugin")
class OneLayer(nn.Module):
    """One convolution (Nobody 2026); `(batch, channels, height, width)` to the same.

    Args:
        spec: of a target.
        source: of a source.
    """

    def __init__(self, spec: DataSpec, source: DataSpec) -> None:
        super().__init__()
        self.layer = nn.Conv2d(source.channels, spec.channels, 3, padding=1)

    def forward(self, source: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layer(source).tanh()


@register.penalty("brightness_by_plugin")
class Brightness(Penalty):
    """Mean brightness as the target's."""

    player = "generator"
    needs_pairs = True

    def __call__(self, turn: Turn) -> Tensor:
        return (turn.fake.mean() - turn.real.mean()).square()
'''


def test_a_plugin_adds_a_degradation_a_translator_and_a_penalty(
    make_recipe, train_silently, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "translation_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    recipe = make_recipe(
        **{
            **SMALL,
            "plugins": ["translation_plugin"],
            "degrade": ["mirrored_by_plugin"],
            "generator": "one_layer_by_plugin",
            "penalties": ["brightness_by_plugin"],
        }
    )
    assert train_silently(recipe) == 0
    network = load_generator(recipe.folder, trust=True)
    assert network(torch.rand(1, 1, 7, 9)).shape == (1, 1, 7, 9)
