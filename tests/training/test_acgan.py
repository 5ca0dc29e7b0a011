"""AC-GAN in a run."""

import pytest

from ganforge.errors import RecipeError
from ganforge.training.run import Run

TABLE = {
    "data": {"name": "digits", "size": 16},
    "generator": {"name": "dcgan", "width": 4, "latent_dim": 8, "conditional": "embedding"},
    "discriminator": {"name": "dcgan", "width": 4, "norm": "none", "init_std": 0.1, "conditional": "classifier"},
    "objective": {"name": "acgan"},
    "optimizer": {role: {"name": "adam", "lr": 5e-3} for role in ("generator", "discriminator")},
    "training": {"steps": 80, "batch_size": 32, "log_every": 80, "discriminator_micro_batches": 2},
}


def test_it_trains_with_micro_batches_and_learns_classes(make_recipe, build_and_train):
    run = build_and_train(make_recipe(**TABLE))
    batch = next(iter(run.loader))
    heard = []
    run.networks.discriminator.classifier.register_forward_hook(lambda module, inputs, output: heard.append(output))  # type: ignore[union-attr, operator]
    run.networks.discriminator(batch.samples, batch.labels)
    accuracy = (heard[0].argmax(dim=1) == batch.labels).float().mean()
    print(f"accuracy of the classifier on a batch of reals: {accuracy:.2f}")
    assert accuracy > 0.3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"discriminator": {"conditional": "projection"}}, "'acgan' hears the classifier of D; set conditional"),
        ({"objective": {"name": "bce"}}, "nobody hears the classifier under objective 'bce'"),
    ],
)
def test_what_does_not_go_together_is_refused(make_recipe, changes, message):
    table = {key: {**value, **changes.get(key, {})} for key, value in TABLE.items()}
    with pytest.raises(RecipeError, match=message):
        Run.build(make_recipe(**table))
