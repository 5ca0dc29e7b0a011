"""StyleGAN2 in a run: mixing, noise and path length through micro-batches, ranks, and an interruption."""

import pytest
import torch
from same_run import assert_same_run

from ganforge.saved.checkpoint import whole_checkpoints
from training.test_distributed import assert_states_equal, run_on_two

SMALL = {
    "data": {"name": "digits", "size": 16},
    "generator": {"name": "stylegan2", "latent_dim": 8, "w_dim": 8, "channel_base": 64, "channel_max": 8},
    "discriminator": {"name": "stylegan2", "channel_base": 64, "channel_max": 8},
    "penalties": [{"name": "r1", "gamma": 1.0, "interval": 2}, {"name": "path_length", "interval": 2}],
    "training": {"steps": 6, "batch_size": 8, "log_every": 1, "generator_micro_batches": 2},
    "checkpoint": {"every": 3, "keep_last": 10},
    "samples": {"every": 3, "num": 4},
}


@pytest.mark.xdist_group("processes")
def test_two_ranks_stay_equal_with_mixing_noise_r1_and_path_length(make_recipe, tmp_path):
    ranks = run_on_two(make_recipe(**SMALL), tmp_path)
    assert_states_equal(ranks[0]["networks"], ranks[1]["networks"])
    assert ranks[0]["networks"]["averaged"]["mapping.w_avg"].any()


@pytest.mark.xdist_group("processes")
def test_two_ranks_train_what_one_process_does_where_nothing_is_drawn_on_a_rank(make_recipe, tmp_path, build_and_train):
    """Without mixing, noise and the path length's projections; D's groups of deviation lie within a rank's share."""
    table = {
        **SMALL,
        "generator": {**SMALL["generator"], "mixing": 0.0, "noise": False},
        "penalties": SMALL["penalties"][:1],
        "training": {"steps": 4, "batch_size": 8, "log_every": 1},
    }
    alone = build_and_train(make_recipe(**table, name="alone"))
    one = {name: network.state_dict() for name, network in alone.saved_networks().items()}
    ranks = run_on_two(make_recipe(**table, name="two"), tmp_path)
    for name, state in one.items():
        for key, tensor in state.items():
            torch.testing.assert_close(ranks[0]["networks"][name][key], tensor, rtol=1e-3, atol=2e-4, msg=key)


def test_a_resumed_run_is_the_unbroken_one_to_the_last_bit(make_recipe, train_silently):
    whole = make_recipe(**SMALL, name="whole")
    train_silently(whole)
    parts = make_recipe(**SMALL, name="parts")
    train_silently(parts)
    newest = whole_checkpoints(parts.folder / "checkpoints")[-1]
    newest.rename(newest.with_name(f"gone-{newest.name}"))
    assert train_silently(make_recipe(**SMALL, name="parts")) == 0
    assert_same_run(whole.folder, parts.folder)
