"""Optimizers by name: torch's own steps, options checked like any others, and a reason where one cannot serve."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from ganforge.errors import RecipeError, RegistryError
from ganforge.optimizers.torch_optim import PAPERS, REFUSED, USUAL, writable
from ganforge.recipe import resolve
from ganforge.registry import register

CLASSES: dict[str, Any] = {
    name: optimizer
    for name, optimizer in vars(torch.optim).items()
    if inspect.isclass(optimizer)
    and issubclass(optimizer, torch.optim.Optimizer)
    and optimizer is not torch.optim.Optimizer
}
DERIVED = sorted(CLASSES.keys() - USUAL.keys() - REFUSED.keys())


def steps(make: Callable[[list[nn.Parameter]], torch.optim.Optimizer]) -> list[float]:
    """The weights after five steps on a small problem."""
    torch.manual_seed(0)
    network, data = nn.Linear(4, 3), torch.randn(16, 4)
    optimizer = make(list(network.parameters()))
    for _ in range(5):
        optimizer.zero_grad()
        (network(data).square().sum(1) - 1).square().mean().backward()
        optimizer.step()
    return torch.cat([weight.detach().flatten() for weight in network.parameters()]).tolist()


def recipe(**optimizer: object) -> dict:
    names = {"generator": "mlp", "discriminator": "mlp", "data": "ring", "training": {"steps": 1}}
    return {"name": "small", **names, "optimizer": {"generator": optimizer}}


def test_every_class_of_torch_is_there_or_has_a_reason_not_to_be() -> None:
    listed = register.optimizer.names()
    for name in CLASSES:
        assert (name.lower() in listed) != (name in REFUSED), f"give torch.optim.{name} a place"
    assert set(DERIVED) <= set(PAPERS), "say whose methods they are"


@pytest.mark.parametrize("name", DERIVED)
def test_it_makes_the_steps_that_torchs_class_makes(name: str) -> None:
    component = register.optimizer.get(name)
    ours = steps(lambda params: component.build(component.options(), params=params))
    assert ours == pytest.approx(steps(lambda params: CLASSES[name](params)), abs=1e-6)
    assert ours != pytest.approx(steps(lambda params: CLASSES[name](params, lr=1e-9)), abs=1e-6)


@pytest.mark.parametrize("name", DERIVED)
def test_all_options_of_the_class_can_be_written_except_those_of_the_framework(name: str) -> None:
    ours = set(register.optimizer.get(name).options.model_fields)
    left_out = set(inspect.signature(CLASSES[name]).parameters) - ours
    assert left_out <= {"params", "foreach", "fused", "maximize", "capturable", "differentiable"}


def test_options_arrive() -> None:
    resolved = resolve(recipe(name="RAdam", lr=0.1, betas=[0.5, 0.9], decoupled_weight_decay=True, weight_decay=0.1))
    table = resolved.optimizer.generator
    optimizer = register.optimizer.get(table.name).build(table, params=[nn.Parameter(torch.zeros(2))])
    (group,) = optimizer.param_groups
    assert isinstance(optimizer, torch.optim.RAdam)
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.1, (0.5, 0.9), 0.1)
    assert group["decoupled_weight_decay"]
    assert group["foreach"]
    assert not group["maximize"]


def test_a_default_that_toml_cannot_hold_is_the_classs_own_when_left_out() -> None:
    component = register.optimizer.get("adafactor")
    params = [nn.Parameter(torch.zeros(2))]
    assert component.build(component.options(), params=params).param_groups[0]["eps"] == (None, 1e-3)
    given = component.build(component.check({"eps": (1e-3, 1e-2)}), params=params)
    assert given.param_groups[0]["eps"] == (1e-3, 1e-2)


@pytest.mark.parametrize("name", ["nadam", "NAdam"])
def test_torchs_spelling_and_the_listed_one_are_the_same(name: str) -> None:
    assert register.optimizer.get(name).origin == "torch.optim.NAdam"
    assert "NAdam" not in register.optimizer.names()
    assert register.optimizer.get("Adam") is register.optimizer.get("adam")


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"name": "radam", "beta": [0.5, 0.9]}, "optimizer.generator.beta: unknown key (did you mean 'betas'?)"),
        ({"name": "radam", "lr": "1e-3"}, "optimizer.generator.lr: "),
        ({"name": "radam", "lr": 0}, "optimizer.generator.lr: "),
        ({"name": "radam", "foreach": True}, "optimizer.generator.foreach: unknown key"),
        ({"name": "adagrad", "betas": [0.5, 0.9]}, "optimizer.generator.betas: unknown key"),
        ({"name": "rprop", "etas": [0.5]}, "optimizer.generator.etas"),
        ({"name": "radm"}, "no optimizer is called 'radm' (did you mean 'radam'?)"),
        ({"name": "LBFGS"}, "optimizer 'LBFGS' cannot be used here: it computes the loss several times a step"),
        ({"name": "sparseadam"}, "it is for sparse gradients"),
        ({"name": "muon"}, "it updates matrices only"),
    ],
)
def test_mistakes_are_answered_like_those_in_any_component(table: dict, problem: str) -> None:
    with pytest.raises(RecipeError) as caught:
        resolve(recipe(**table))
    assert problem in str(caught.value)


def test_what_only_the_class_can_check_is_a_value_error_that_names_it() -> None:
    component = register.optimizer.get("radam")
    with pytest.raises(ValueError, match=r"Invalid beta parameter"):
        component.build(component.check({"betas": (1.5, 0.9)}), params=[nn.Parameter(torch.zeros(2))])


def test_the_list_and_the_manual_of_a_derived_one(ganforge: Callable) -> None:
    listed = ganforge("list", "optimizers").out
    assert "Rectified Adam, which warms up by itself (Liu et al. 2020), as torch.optim.RAdam has it." in listed
    shown = ganforge("show", "RAdam").out
    assert "optimizer radam" in shown
    assert "learning rate." in shown
    assert "float > 0" in shown
    assert "torch.optim.RAdam" in shown
    assert "radam.py:" in shown
    assert "maximize" not in shown
    assert "cannot be used here" in ganforge("show", "LBFGS").err


def test_types_that_toml_has_no_word_for_are_no_options() -> None:
    assert writable(float | torch.Tensor) is float
    assert writable(str | None) is str
    assert writable(tuple[float | torch.Tensor, float]) == tuple[float, float]
    assert writable(tuple[float, ...]) == tuple[float, ...]
    assert writable(Callable) is None
    assert writable(float | str) is None
    assert writable(torch.Tensor) is None


def test_a_name_that_is_refused_can_still_be_a_plugins_own() -> None:
    with pytest.raises(RegistryError, match="cannot be used here"):
        register.optimizer.get("muon")
    try:

        @register.optimizer("muon")
        def own(params: list[nn.Parameter], *, lr: float = 0.1) -> torch.optim.Optimizer:
            return torch.optim.SGD(params, lr=lr)

        assert register.optimizer.get("muon").factory is own
    finally:
        del register.optimizer._components["muon"]
