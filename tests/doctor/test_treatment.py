"""What the doctor advises has to be something that a recipe can say."""

import re

import pytest

from ganforge.doctor.illnesses import ILLNESSES
from ganforge.doctor.treatment import Treatment
from ganforge.recipe import load, override, parse, resolve
from ganforge.registry import register

ASSIGNMENT = re.compile(r"((?:[a-z_\d]+\.)*[a-z_\d]+) = (\[.*?\]|\"\w+\"|[-+.\de]+)")
CHANGES = (
    (),
    ("objective=minimax", 'penalties=[{name="r1", weight=2.0}]', "training.ema_rampup=0"),
    ("optimizer.generator=sgd", "optimizer.generator.lr=0.1", 'augment=["diffaugment"]'),
)


@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("name", ["ring2d", "digits32"])
def test_every_option_that_is_advised_can_be_set_to_what_is_advised(name, changes):
    table = override(parse(f"recipes/{name}.toml"), changes)
    now = resolve(table).to_dict()
    advised = {illness.name: Treatment(now).remedies(illness.name) for illness in ILLNESSES}
    assert all(advised.values())
    for remedy in {remedy for remedies in advised.values() for remedy in remedies}:
        for component in re.findall(r"\[\[penalties\]\] name = \"(\w+)\"", remedy):
            assert component in register.penalty.names()
        for option, value in () if "[[" in remedy else ASSIGNMENT.findall(remedy):
            assert resolve(override(table, [f"{option}={value}"])).to_dict() != now, f"{remedy}: is so already"


def test_advice_depends_on_what_the_recipe_has():
    plain = Treatment(load("recipes/ring2d.toml").to_dict())
    assert not any("momentum" in remedy for remedy in plain.remedies("collapse"))  # beta1 is 0 already
    momentum = Treatment(load("recipes/ring2d.toml", ["optimizer.generator.betas=[0.5,0.999]"]).to_dict())
    assert any("momentum" in remedy for remedy in momentum.remedies("collapse"))
    penalised = Treatment(load("recipes/ring2d.toml", ['penalties=["r1"]']).to_dict())
    assert "a stronger r1: penalties.0.weight = 4" in penalised.remedies("collapse")
