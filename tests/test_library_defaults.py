"""What a command does by default, its function does by default."""

import inspect
from collections.abc import Callable

import pytest

from ganforge.cli import films, sampling, search
from ganforge.sampling.evolve import write_evolution
from ganforge.sampling.interpolate import write_walk
from ganforge.sampling.memorisation import write_neighbours
from ganforge.sampling.write import write_part_of_shards, write_samples
from ganforge.search.write import write_inpainted, write_projected

OTHER_NAMES = {"averaged": "ema", "limit": "num_reals"}


@pytest.mark.parametrize(
    ("command", "function"),
    [
        (films.interpolate, write_walk),
        (films.evolve, write_evolution),
        (films.neighbours, write_neighbours),
        (sampling.sample, write_samples),
        (sampling.sample, write_part_of_shards),
        (search.inpaint, write_inpainted),
        (search.project, write_projected),
    ],
    ids=lambda function: function.__name__,
)
def test_a_command_and_its_function_have_the_same_defaults(
    command: Callable[..., None], function: Callable[..., object]
) -> None:
    offered = inspect.signature(command).parameters
    compared = {
        name: (offered[other].default, parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if (other := OTHER_NAMES.get(name, name)) in offered
        and inspect.Parameter.empty not in (offered[other].default, parameter.default)
    }
    different = {name: pair for name, pair in compared.items() if pair[0] != pair[1] and {*pair} != {None, ()}}
    assert different == {}
