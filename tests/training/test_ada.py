"""ADA in a run: the log shows its probability, and a resumed run has it as it was."""

from same_run import assert_same_run, figures

from ganforge.saved.checkpoint import whole_checkpoints

TABLE = {
    "plugins": ["ganforge.testing.pictures"],
    "data": {"name": "testing_pictures", "size": 8},
    "generator": {"name": "mlp", "width": 8, "latent_dim": 4},
    "discriminator": {"name": "mlp", "width": 16},
    "augment": [{"name": "ada", "speed": 64, "interval": 2, "initial": 0.75}],
    "training": {"steps": 7, "batch_size": 8, "log_every": 1, "discriminator_micro_batches": 2},
    "checkpoint": {"every": 3, "keep_last": 10},
}


def test_p_is_in_the_log_and_a_resumed_run_goes_on_with_it(make_recipe, train_silently):
    for name in ("whole", "parts"):
        train_silently(make_recipe(**TABLE, name=name))
    whole, parts = (make_recipe(**TABLE, name=name) for name in ("whole", "parts"))
    seen = [line["augment/0/probability"] for line in figures(whole.folder) if "augment/0/probability" in line]
    assert seen == [0.75, 0.5, 0.5, 0.25, 0.25, 0.0, 0.0], "D takes reals for fakes: p falls every second step"
    for path in whole_checkpoints(parts.folder / "checkpoints"):
        if int(path.name.removeprefix("step-")) > 3:  # an odd step: counts since the last adjustment are saved, too
            path.rename(path.with_name(f"gone-{path.name}"))
    train_silently(make_recipe(**TABLE, name="parts"))
    assert_same_run(whole.folder, parts.folder)
