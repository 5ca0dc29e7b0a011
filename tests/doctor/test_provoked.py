"""Real trainings that go wrong, each in its own way, and ones that do not."""

import pytest

from ganforge.doctor.journal import read_findings, read_lines

MOMENTUM = ("optimizer.generator.betas=[0.5,0.999]", "optimizer.discriminator.betas=[0.5,0.999]")
RATES = ("optimizer.generator.lr=10.0", "optimizer.discriminator.lr=10.0")
CRITIC = ("optimizer.generator.lr=0.1", "optimizer.discriminator.lr=1.0")
CONSTANT_RATES = ("optimizer.generator.decay=none", "optimizer.discriminator.decay=none")
SICK = {
    "a fast discriminator": (("training.steps=500", "optimizer.discriminator.lr=0.1"), {"discriminator_wins"}),
    "a still discriminator": (
        ("training.steps=400", "optimizer.discriminator.lr=1e-6"),
        {"generator_wins", "collapse"},
    ),
    "a fast generator": (("training.steps=600", "optimizer.generator.lr=0.1"), {"collapse"}),
    "momentum": (("training.steps=800", *MOMENTUM), {"collapse", "oscillation", "missing_classes"}),
    "huge steps": (("training.steps=600", "training.log_every=50", *RATES), {"dead_gradients"}),
    "a critic without bounds": (("training.steps=400", "objective=wasserstein", *CRITIC), {"exploding_gradients"}),
    "a slow average": (("training.steps=800", "training.ema=1e9", "training.ema_rampup=0"), {"average_far"}),
}
"""What makes the rings ill, and what must be named of it; momentum is what the recipe itself warns of, on its seed.

Under huge steps everything is chaos, in which roundings of another processor decide what else is found.
"""


@pytest.mark.parametrize("cause", SICK)
def test_an_illness_that_is_provoked_is_named_once_and_said_with_what_helps(trained, capsys, cause):
    changes, illnesses = SICK[cause]
    folder = trained("ring2d", *changes)
    begun = [finding for finding in read_findings(folder) if finding.event == "begins"]
    assert illnesses <= {finding.name for finding in begun}
    out = capsys.readouterr().out
    for finding in begun:
        assert out.count(finding.message) == sum(other.name == finding.name for other in begun)
        assert all(remedy in out for remedy in finding.remedies)


@pytest.mark.slow
def test_a_discriminator_that_sees_few_digits_learns_them_by_heart_and_one_that_sees_many_does_not(trained):
    common = (
        'health.held_out={name="digits", size=16, part="held_out"}',
        "data.size=16",
        "data.part=train",
        "discriminator.width=32",
        "training.log_every=25",
    )
    few = trained("digits32", *common, "name=few", "data.limit=40", "training.steps=400", *CONSTANT_RATES)
    many = trained("digits32", *common, "name=many", "training.steps=200", *CONSTANT_RATES)
    assert "memorising" in {finding.name for finding in read_findings(few)}
    assert read_findings(many) == []


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "steps"), [("ring2d", 2000), ("digits32", 300)])
def test_a_healthy_run_of_a_recipe_that_needs_no_download_names_nothing(trained, recipe, steps):
    folder = trained(recipe, f"training.steps={steps}")
    assert read_findings(folder) == []
    assert (folder / "health.jsonl").exists()
    names = read_lines(folder)[0].keys()
    assert {"health/separation", "health/spread", "health/spread_features", "health/gradient_generator"} <= names
