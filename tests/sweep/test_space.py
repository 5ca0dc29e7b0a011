"""How `--grid`, `--random` and `--tpe` are read, and in which order grids are walked."""

import optuna
import pytest

from ganforge.errors import RecipeError
from ganforge.sweep.sampler import AxisSampler, distribution
from ganforge.sweep.space import Axis, grid_choice, grid_size, parse_axis


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("optimizer.generator.lr=1e-4,2e-4", ("1e-4", "2e-4")),
        ("objective=bce, hinge", ("bce", "hinge")),
        ("optimizer.generator.betas=[0.0,0.999],[0.5,0.999]", ("[0.0,0.999]", "[0.5,0.999]")),
        ('generator={name="mlp", width=8},{name="mlp", width=16}', ('{name="mlp", width=8}', '{name="mlp", width=16}')),
        ('data.path="a,b","c"', ('"a,b"', '"c"')),
        ("seed=3", ("3",)),
    ],
)
def test_a_list_is_split_where_toml_would_split_it(text, choices):
    assert parse_axis("grid", text).choices == choices


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("training.ema=0..5e4", Axis("training.ema", "random", low=0, high=5e4)),
        ("training.ema=1..1e3:log", Axis("training.ema", "random", low=1, high=1e3, is_log=True)),
        ("generator.width=8..64", Axis("generator.width", "random", low=8, high=64, is_integer=True)),
        ("x=-1.5..-0.5", Axis("x", "random", low=-1.5, high=-0.5)),
    ],
)  # fmt: skip
def test_a_range_is_of_whole_numbers_if_both_ends_are(text, expected):
    assert parse_axis("random", text) == expected


@pytest.mark.parametrize(
    ("how", "text", "reason"),
    [
        ("grid", "optimizer.generator.lr", "not of the form"),
        ("grid", "=1,2", "not of the form"),
        ("grid", "seed=", "not of the form"),
        ("grid", "seed=1,,2", "empty or repeated"),
        ("grid", "seed=1,1", "empty or repeated"),
        ("grid", "training.ema=0..1", "a range is for random"),
        ("random", "training.ema=5..1", "from a smaller to a larger"),
        ("tpe", "training.ema=0..1:log", "above 0 with :log"),
    ],
)
def test_what_is_no_axis_is_refused_with_the_reason(how, text, reason):
    with pytest.raises(RecipeError, match=rf"`{how}=\.\.\.`: '.*{reason}"):
        parse_axis(how, text)


def test_grids_give_every_combination_once_before_any_again():
    axes = [Axis("a", "grid", ("1", "2", "3")), Axis("b", "random", ("x", "y")), Axis("c", "grid", ("4", "5"))]
    assert grid_size(axes) == 6
    walked = [(grid_choice(axes, "a", number), grid_choice(axes, "c", number)) for number in range(12)]
    assert walked[:6] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert walked[6:] == walked[:6]


AXES = [
    Axis("a", "grid", ("1", "2")),
    Axis("b", "random", low=1e-4, high=1.0, is_log=True),
    Axis("c", "tpe", low=0, high=1),
]


def values(count: int, seed: int = 0) -> list[dict]:
    study = optuna.create_study(sampler=AxisSampler(AXES, seed))
    for _ in range(count):
        trial = study.ask({axis.path: distribution(axis) for axis in AXES})
        study.tell(trial, (trial.params["c"] - 0.7) ** 2)
    return [trial.params for trial in study.trials]


def test_grid_and_random_values_follow_from_seed_and_number():
    one, other = values(4), values(4, seed=1)
    assert [row["a"] for row in one] == ["1", "2", "1", "2"]
    assert one == values(4)
    assert [row["b"] for row in one] != [row["b"] for row in other]
    assert len({row["b"] for row in one}) == 4
    assert all(1e-4 <= row["b"] <= 1 for row in one)


def test_tpe_learns_from_earlier_trials():
    early, late = (sum(abs(row["c"] - 0.7) for row in part) / 10 for part in (values(40)[:10], values(40)[-10:]))
    assert late < early / 2
