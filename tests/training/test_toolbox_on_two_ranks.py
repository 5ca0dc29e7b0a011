"""Objectives and penalties together on two ranks, beside one process with both ranks' samples."""

import math

from two_processes import DDP

from training.ways import assert_close, assert_equal, on_two, outcome

EVERYTHING_WITHOUT_CHANCE = {
    "training": {"steps": 6},
    "objective": "relativistic_average",
    "penalties": [
        {"name": "r1", "gamma": 0.1},
        {"name": "r2", "gamma": 0.1, "interval": 3},
        {"name": "lecam", "decay": 0.5, "start": 0},
        {"name": "feature_matching", "layers": ["hidden", "head.0"], "strength": 0.1},
        {"name": "weight_decay_l1", "rate": 1e-3},
        {"name": "weight_decay_l2", "rate": 1e-2, "player": "generator", "everything": True},
        {"name": "orthogonal", "rate": 1e-3},
    ],
    "optimizer": {role: {"name": "sgd", "lr": 0.05} for role in ("generator", "discriminator")},
}


def test_two_ranks_train_what_one_process_trains_of_both_ranks_samples(make_recipe, tmp_path):
    """Means that enter a loss other than linearly, of logits, features and anchors, are those of the global batch."""
    two = on_two(make_recipe(**EVERYTHING_WITHOUT_CHANCE), tmp_path / "two", DDP)
    assert_equal(two[0], two[1])
    alone = outcome(make_recipe(**EVERYTHING_WITHOUT_CHANCE, name="alone"))
    assert_close(two[0], alone, rtol=2e-4, atol=2e-6)


def test_what_draws_lots_trains_in_bf16_beside_batch_norm(make_recipe):
    """Five forwards of D before its one backward, none of which may change in place what another needs."""
    names = ["gradient_penalty", "dragan", "consistency", "r1", "r2"]
    table = {
        "data": {"name": "digits", "size": 16},
        "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
        "discriminator": {"name": "dcgan", "width": 4},
        "training": {"steps": 3, "batch_size": 8, "precision": "bf16"},
        "objective": {"name": "bce", "flip": 0.1},
        "penalties": names,
    }
    lines = outcome(make_recipe(**table))["losses"]
    assert len(lines) == 3
    assert all(math.isfinite(line[f"discriminator/{name}"]) for line in lines for name in names)
