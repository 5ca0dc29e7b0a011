"""A batch that does not divide is told in one way, whoever asks."""

import pytest

from ganforge.contradictions import batch_problems
from ganforge.division import undivided
from ganforge.recipe import resolve


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((64, 4, 2), ""),
        ((1, 1, 1), ""),
        ((30, 4, 1), "30 does not divide by 4 ranks; use 28 or 32"),
        ((64, 1, 3), "64 does not divide by 3 micro-batches; use 63 or 66"),
        ((40, 4, 3), "40 does not divide by 4 ranks x 3 micro-batches; use 36 or 48"),
        ((3, 4, 1), "3 does not divide by 4 ranks; use 4"),
        ((0, 1, 1), "0 does not divide by 1; use 1"),
    ],
)
def test_the_nearest_sizes_that_would_do_are_named(asked: tuple[int, int, int], said: str) -> None:
    assert undivided(*asked) == said


@pytest.mark.parametrize(
    ("ranks", "training", "packing", "said"),
    [
        (1, {}, 3, "discriminator.packing: packs of 3 do not divide the batch of 32; use a divisor"),
        (8, {}, 8, "discriminator.packing: packs of 8 do not divide the 4 samples of a micro-batch on one rank; use"),
        (5, {}, 1, "training.batch_size: 32 does not divide by 5 ranks; use 30 or 35"),
        (2, {"generator_micro_batches": 16}, 2, "packs of 2 do not divide the 1 samples of a micro-batch on one rank"),
    ],
)
def test_a_recipe_on_so_many_ranks(ranks: int, training: dict[str, int], packing: int, said: str) -> None:
    tables = {
        "name": "tiny",
        "data": {"name": "ring"},
        "generator": {"name": "mlp"},
        "discriminator": {"name": "mlp"},
        "training": {"steps": 1, "batch_size": 32, **training},
    }
    recipe = resolve(tables)
    recipe = recipe.model_copy(update={"discriminator": recipe.discriminator.model_copy(update={"packing": packing})})
    assert said in "\n".join(map(str, batch_problems(recipe, ranks)))
