"""Watching leaves training as it is, survives what a run survives, and may end it."""

import json

import pytest
import torch
from two_processes import launch_two

from ganforge.doctor.journal import read_findings, read_lines
from ganforge.errors import DivergenceError, HealthError, RecipeError
from ganforge.recipe import dump, load
from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints
from ganforge.training.run import Run
from ganforge.training.session import run_session
from ganforge.training.telemetry.probe import Probe

ILL = ("optimizer.discriminator.lr=1e-6", "training.log_every=10")
EVERYTHING_IN_D = (
    "data.size=16",
    "generator.width=8",
    "discriminator.width=8",
    "discriminator.norm=batch",
    "discriminator.dropout=0.3",
    'penalties=["r1"]',
    'augment=["diffaugment"]',
    "training.steps=22",
    "training.log_every=4",
    'health.held_out={name="digits", size=16, part="held_out"}',
)


def newest(folder):
    return Checkpoint(whole_checkpoints(folder / "checkpoints")[-1])


def without_health(folder):
    left_out = ("health/", "images_per_second", "data/wait_share")
    return [
        {name: value for name, value in line.items() if not name.startswith(left_out)} for line in read_lines(folder)
    ]


def test_training_is_the_same_bit_for_bit_whether_the_doctor_watches_or_not(trained):
    """With dropout, batch norm and random augmentation: neither a random number nor a running statistic is touched."""
    watched = trained("digits32", *EVERYTHING_IN_D, "name=watched")
    alone = trained("digits32", *EVERYTHING_IN_D, "name=alone", "health.watch=false")
    assert without_health(watched) == without_health(alone)
    for name in ("discriminator", "generator", "averaged"):
        mine, theirs = newest(watched).tensors(name), newest(alone).tensors(name)
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    mine, theirs = newest(watched).rank(0), newest(alone).rank(0)
    assert mine is not None
    assert theirs is not None
    assert str(mine["random"]) == str(theirs["random"])
    lines = read_lines(watched)
    assert {"health/overfitting", "health/spread_features", "health/gradient_discriminator"} <= lines[2].keys()
    assert not any(name.startswith("health/") for line in read_lines(alone) for name in line)
    assert not (alone / "health.jsonl").exists()


@pytest.mark.parametrize(("log_every", "looked_at"), [(30, [30, 60, 90]), (1, [10, 20, 30]), (4, [12, 20, 32])])
def test_nothing_is_looked_at_in_steps_that_are_not_logged_nor_more_than_once_in_ten(
    trained, monkeypatch, log_every, looked_at
):
    looks = []
    look = Probe.look

    def note(self, moving, turn):
        looks.append((turn.step + 1, moving.role))
        return look(self, moving, turn)

    monkeypatch.setattr(Probe, "look", note)
    folder = trained("ring2d", "training.steps=95", f"training.log_every={log_every}", "training.discriminator_turns=2")
    assert [step for step, role in looks if role == "discriminator"][:3] == looked_at
    assert [role for _, role in looks] == ["discriminator", "generator"] * (len(looks) // 2)
    assert [line["step"] for line in read_lines(folder) if "health/spread" in line][:3] == looked_at


def test_a_resumed_run_finds_what_an_unbroken_one_finds(recipe_of, trained):
    unbroken = trained("ring2d", *ILL, "name=unbroken", "training.steps=200")
    assert [finding.name for finding in read_findings(unbroken)] == ["generator_wins"]
    for stop in (60, 150):  # before it begins, and while it lasts
        run_session(recipe_of("ring2d", *ILL, f"name=broken-{stop}", f"training.steps={stop}"))
        broken = recipe_of("ring2d", *ILL, f"name=broken-{stop}", "training.steps=200")
        # A kill after the checkpoint leaves findings that the resumed run will make again.
        with (broken.folder / "health.jsonl").open("a") as file:
            file.write(read_findings(unbroken)[-1].to_json().replace('"step": ', '"step": 9') + '\n{"step": 17')
        run_session(broken)
        assert (broken.folder / "health.jsonl").read_text() == (unbroken / "health.jsonl").read_text()


def test_the_recipe_can_stop_a_run_on_an_illness(ganforge, recipe_of, tmp_path):
    recipe = recipe_of("ring2d", *ILL, "training.steps=400", "checkpoint.every=50", 'health.stop_on=["generator_wins"]')
    file = tmp_path / "recipe.toml"
    file.write_text(dump(recipe))
    outcome = ganforge("train", file)
    (begin,) = [finding for finding in read_findings(recipe.folder) if finding.name == "generator_wins"]
    assert outcome.code == 2
    assert f"step {begin.step}: stopped by the doctor, as health.stop_on asks: the generator wins" in outcome.err
    assert newest(recipe.folder).state["step"] == begin.step // 50 * 50 - (50 if begin.step % 50 == 0 else 0)
    outcome = ganforge("doctor", recipe.folder)
    assert outcome.code == 0
    assert f"generator wins, since step {begin.step}: " in outcome.out
    assert "helps: optimizer.discriminator.lr = 4e-06 (now 1e-06)" in outcome.out
    assert ganforge("doctor", recipe.folder, "--strict").code == 1


def _train(path):
    assert run_session(load(path)) == 0


@pytest.mark.slow
def test_two_ranks_see_what_one_process_sees(recipe_of, trained, tmp_path):
    """A small share of the batch on each rank would be too little to compare: they put their samples together."""
    common = ("training.steps=10", "training.log_every=10", "training.batch_size=64")
    file = tmp_path / "recipe.toml"
    file.write_text(dump(recipe_of("ring2d", *common, "name=two")))
    launch_two(_train, (str(file),))
    alone = read_lines(trained("ring2d", *common, "name=alone"))
    together = read_lines(tmp_path / "runs" / "two")
    for mine, theirs in zip(together, alone, strict=True):
        assert "health/class_7" in mine
        for name in (name for name in theirs if name.startswith("health/")):
            assert mine[name] == pytest.approx(theirs[name], rel=1e-3, abs=0.02), name  # a neighbour more or less


def _train_and_be_stopped(path):
    with pytest.raises(HealthError, match="stopped by the doctor"):
        run_session(load(path))


@pytest.mark.slow
def test_two_ranks_stop_together(recipe_of, tmp_path):
    recipe = recipe_of("ring2d", *ILL, "training.steps=400", 'health.stop_on=["generator_wins"]')
    file = tmp_path / "recipe.toml"
    file.write_text(dump(recipe))
    launch_two(_train_and_be_stopped, (str(file),))
    assert read_findings(recipe.folder)[0].name == "generator_wins"


def test_an_unknown_illness_in_the_recipe_is_refused_with_the_known_ones(recipe_of):
    with pytest.raises(RecipeError, match=r"health\.stop_on.*'collapse'"):
        recipe_of("ring2d", 'health.stop_on=["flu"]')


def test_held_out_samples_of_another_kind_are_refused(recipe_of):
    with pytest.raises(RecipeError, match=r"health\.held_out: holds samples of .*training sees"):
        Run.build(recipe_of("ring2d", 'health.held_out={name="digits", size=16}'))


def test_losses_that_are_no_longer_finite_are_written_down_when_the_run_stops(recipe_of, ganforge):
    recipe = recipe_of(
        "ring2d", 'optimizer.generator={name="sgd", lr=1e30}', "training.steps=50", "training.log_every=5"
    )
    with pytest.raises(DivergenceError):
        run_session(recipe)
    (finding,) = read_findings(recipe.folder)
    assert (finding.name, finding.event) == ("divergence", "begins")
    assert finding.remedies
    assert "divergence, at step 5: " in ganforge("doctor", recipe.folder).out


def test_a_rollback_is_written_down_and_the_doctor_goes_back_with_the_run(recipe_of):
    """The generator's weights are spoilt twice after the checkpoint of step 10, then left alone."""
    recipe = recipe_of(
        "ring2d", "training.steps=30", "training.log_every=5", "checkpoint.every=10", "training.on_divergence=rollback"
    )
    spoilt = []
    original = Probe.look

    def spoil(self, moving, turn):
        if turn.step == 19 and len(spoilt) < 2:
            spoilt.append(turn.step)
            with torch.no_grad():
                next(iter(moving.network.parameters())).fill_(float("nan"))
        return original(self, moving, turn)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Probe, "look", spoil)
        assert run_session(recipe) == 0
    events = [(finding.step, finding.name, finding.event) for finding in read_findings(recipe.folder)]
    assert events == [(10, "divergence", "begins"), (10, "divergence", "ends")]
    assert [line["step"] for line in read_lines(recipe.folder)] == [5, 10, 15, 20, 25, 30]


def test_wandb_is_alerted_of_a_finding(trained, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = trained("ring2d", *ILL, "training.steps=150", 'tracking.wandb={mode="offline"}')
    (log,) = folder.glob("wandb/offline-run-*/*.wandb")
    content = log.read_bytes()
    assert b"generator wins" in content
    assert b"the discriminator no longer tells its fakes from reals" in content


def test_a_run_that_nobody_watched_is_looked_at_now_and_a_running_one_up_to_its_last_whole_line(
    trained, ganforge, capsys
):
    folder = trained("ring2d", *ILL, "training.steps=150")
    capsys.readouterr()
    seen = ganforge("doctor", folder).out
    (folder / "health.jsonl").unlink()
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 160, "generator/lo')
    again = ganforge("doctor", folder).out
    assert "findings of training" in seen
    assert "looked at now" in again
    assert again.splitlines()[1:] == seen.splitlines()[1:]


def test_a_finding_is_one_json_object_a_line(trained):
    folder = trained("ring2d", *ILL, "training.steps=150")
    lines = [json.loads(line) for line in (folder / "health.jsonl").read_text().splitlines()]
    assert lines[0].keys() == {"step", "name", "event", "message", "evidence", "remedies"}
    assert isinstance(lines[0]["remedies"], list)


def test_a_packed_discriminator_sees_whole_packs_of_held_out_samples(trained):
    folder = trained(
        "ring2d", "discriminator.packing=3", "training.batch_size=15", "training.steps=10", "training.log_every=10",
        'health.held_out={name="ring"}', "evaluation.at_end=false", "name=packed",
    )  # fmt: skip
    assert "health/overfitting" in read_lines(folder)[-1]
