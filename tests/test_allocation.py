"""What no memory holds is refused before it is allocated."""

import time

import pytest
import torch
from torch import nn

from ganforge.allocation import TooLargeError, at_most, machine_memory
from ganforge.building import networks
from ganforge.building.networks import build_networks
from ganforge.building.parts import build_dataset
from ganforge.errors import RecipeError
from ganforge.options import OptionsModel
from ganforge.recipe import resolve
from ganforge.registry import register
from ganforge.spec import DataSpec
from ganforge.tables import Recipe

TERABYTES = 2**43

MAKERS = {
    "linear": lambda: nn.Linear(2**21, 2**21),
    "more than 64 bits count": lambda: nn.Linear(2**40, 2**40),
    "embedding": lambda: nn.Embedding(TERABYTES, 4),
    "parameter of random numbers": lambda: nn.Parameter(torch.randn(TERABYTES)),
    "zeros": lambda: torch.zeros(TERABYTES),
    "range": lambda: torch.arange(TERABYTES),
    "of another tensor's kind": lambda: torch.zeros(1).new_zeros(TERABYTES),
    "like another": lambda: torch.zeros_like(torch.zeros(1).expand(TERABYTES)),
    "copies of another": lambda: torch.zeros(1).repeat(TERABYTES),
    "many small ones": lambda: [torch.empty(2**20) for _ in range(10_000)],
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_what_is_too_large_is_refused_at_once(make) -> None:
    began = time.monotonic()
    with pytest.raises(TooLargeError, match="is too large"), at_most(2**30, "what there is"):
        make()
    assert time.monotonic() - began < 5


def test_the_message_says_what_is_wanted_and_what_there_is() -> None:
    with (
        pytest.raises(TooLargeError, match=r"takes 4\.29 GB or more; 1\.07 GB is what there is"),
        at_most(2**30, "what there is"),
    ):
        torch.empty(2**30)


@pytest.mark.parametrize("name", ["dcgan", "r3gan", "resnet"])
def test_a_network_starts_from_the_same_weights_with_and_without_a_limit(name: str) -> None:
    component, spec = register.generator.get(name), DataSpec((3, 32, 32))
    options = component.options(**({"width": 32} if name == "r3gan" else {}))
    networks = []
    for limit in (None, machine_memory()):
        torch.manual_seed(3)
        if limit is None:
            networks.append(component.build(options, spec=spec))
        else:
            with at_most(limit, "the memory"):
                networks.append(component.build(options, spec=spec))
    for first, second in zip(*(network.state_dict().values() for network in networks), strict=True):
        assert torch.equal(first, second)


def recipe(**generator: object) -> Recipe:
    data = {"name": "ring", "samples": 10}
    return resolve(
        {"name": "big", "data": data, "generator": generator, "discriminator": "mlp", "training": {"steps": 1}}
    )


def test_a_generator_that_does_not_fit_the_machine_is_a_mistake_of_the_recipe(monkeypatch) -> None:
    monkeypatch.setattr(networks, "machine_memory", lambda: 10**9)
    table = recipe(name="mlp", width=65_536)
    with pytest.raises(RecipeError, match=r"big: generator: generator 'mlp': is too large: it takes .* GB or more; "):
        build_networks(table, build_dataset(table))


def test_a_generator_of_a_plugin_is_refused_as_well(monkeypatch) -> None:
    @register.generator("boundless")
    class Boundless(nn.Module):
        """Has no bound."""

        def __init__(self, spec: DataSpec, *, width: int = 4) -> None:
            super().__init__()
            self.latent_dim = 1
            self.layer = nn.Linear(width, width)

    try:
        table = recipe(name="boundless", width=2**31)
        with pytest.raises(RecipeError, match=r"is too large: it takes 18\.4 EB"):
            build_networks(table, build_dataset(table))
    finally:
        del register.generator._components["boundless"]


def bounded(model: type[OptionsModel]) -> dict[str, bool]:
    """Whether each whole number of a table has an upper bound."""
    properties = model.model_json_schema()["properties"]
    found = {}
    for name, schema in properties.items():
        for kind in schema.get("anyOf", [schema]):
            if kind.get("type") == "integer":
                found[name] = any(bound in kind for bound in ("maximum", "exclusiveMaximum", "enum", "const"))
    return found


@pytest.mark.parametrize("kind", register.kinds())
def test_every_whole_number_of_our_components_has_an_upper_bound(kind: str) -> None:
    ours = [component for component in register.kind(kind).loaded() if component.origin.startswith("ganforge.")]
    assert ours
    unbounded = [
        f"{component.name}.{name}" for component in ours for name, has in bounded(component.options).items() if not has
    ]
    assert unbounded == []


HUGE = {
    "data.modes": {"data": {"name": "ring", "modes": 2**31}},
    "data.side": {"data": {"name": "grid", "side": 2**31}},
    "generator.width": {"generator": {"name": "mlp", "width": 2**31}},
    "generator.depth": {"generator": {"name": "mlp", "depth": 2**31}},
    "generator.latent_dim": {"generator": {"name": "dcgan", "latent_dim": 2**31}},
    "discriminator.packing": {"discriminator": {"name": "mlp", "packing": 2**31}},
    "discriminator.minibatch_std": {"discriminator": {"name": "mlp", "minibatch_std": 2**31}},
    "training.batch_size": {"training": {"steps": 1, "batch_size": 2**31}},
    "training.generator_turns": {"training": {"steps": 1, "generator_turns": 2**31}},
    "samples.num": {"samples": {"num": 2**31}},
}


@pytest.mark.parametrize("key", HUGE)
def test_two_thousand_million_of_something_is_refused_by_its_key(key: str) -> None:
    tables = {"name": "huge", "data": "ring", "generator": "mlp", "discriminator": "mlp", "training": {"steps": 1}}
    with pytest.raises(RecipeError, match=rf"recipe: {key}: must be at most "):
        resolve({**tables, **HUGE[key]})
