import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ganforge.errors import DivergenceError, GanforgeError
from ganforge.jsonlines import StepLines
from ganforge.telemetry.tracking import MetricsLog, run_id


def test_a_resumed_log_drops_what_comes_after_the_checkpoint_and_torn_lines(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, start=0)
    for step in (1, 2, 3):
        log.write(step, {"loss": 1.0 / step})
    log.close()
    path.write_text(path.read_text() + '{"step": 4, "lo')
    log = MetricsLog(path, start=2)
    log.write(3, {"loss": 9.0})
    log.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 1, "loss": 1.0},
        {"step": 2, "loss": 0.5},
        {"step": 3, "loss": 9.0},
    ]


@pytest.mark.parametrize(
    "odd", [b'{"step": 2, "a": "\xff"}', b"\0" * 100, b'{"step": 2, "health/spread": "wide", "images": []}', b"[1]"]
)
def test_a_run_goes_on_whatever_its_log_holds(make_recipe, train_silently, odd):
    recipe = make_recipe(checkpoint={"every": 3}, health={"watch": True})
    train_silently(recipe)
    log, findings = recipe.folder / "metrics.jsonl", recipe.folder / "health.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0] + odd + b"\n" + b"".join(lines[1:]))
    findings.write_bytes(odd + b'\n{"step": 1, "name": 3}\n')
    (recipe.folder / "evaluations.jsonl").write_bytes(odd)
    (recipe.folder / "run.json").write_bytes(odd)
    longer = make_recipe(checkpoint={"every": 3}, training={"steps": recipe.training.steps + 2})
    train_silently(longer)
    steps = [line["step"] for line in StepLines(log)]
    assert steps == sorted(steps)
    assert steps[-1] == longer.training.steps


def test_a_log_that_is_no_file_is_a_mistake_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(GanforgeError, match=r"metrics\.jsonl: is not a file that can be read; move it away"):
        MetricsLog(tmp_path / "metrics.jsonl", 0)


@pytest.mark.parametrize("content", ["", "null", "[1]", '{"id": null}', '{"id": "../.."}', "{", "[" * 100_000])
def test_a_damaged_id_of_a_run_is_made_again(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    made = run_id(tmp_path)
    assert len(made) == 8
    assert run_id(tmp_path) == made


def test_the_log_has_losses_terms_accuracies_speed_and_evaluations(make_recipe, train_silently):
    recipe = make_recipe(evaluation={"metrics": ["modes"], "num_fakes": 50}, penalties=[{"name": "r1", "gamma": 0.1}])
    train_silently(recipe)
    lines = [json.loads(line) for line in (recipe.folder / "metrics.jsonl").read_text().splitlines()]
    wanted = {
        "step", "images", "discriminator/loss", "discriminator/objective", "discriminator/r1", "generator/loss",
        "discriminator/accuracy_real", "discriminator/accuracy_fake", "images_per_second", "data/wait_share",
    }  # fmt: skip
    assert wanted <= lines[0].keys()
    assert [line["images"] for line in lines[:6]] == [32, 64, 96, 128, 160, 192]
    total = lines[2]["discriminator/objective"] + lines[2]["discriminator/r1"]
    assert lines[2]["discriminator/loss"] == pytest.approx(total)
    assert {"evaluation/modes", "evaluation/good_points", "evaluation/seconds"} <= lines[-1].keys()


def test_wandb_offline_gets_figures_pictures_tags_and_the_best_in_its_summary(make_recipe, train_silently, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    recipe = make_recipe(
        evaluation={"metrics": ["modes"], "num_fakes": 50},
        tracking={"wandb": {"project": "gans", "mode": "offline", "group": "toys", "tags": ["ring", "tiny"]}},
        training={"steps": 2},
    )
    train_silently(recipe)
    (offline,) = (recipe.folder / "wandb").glob("offline-run-*")
    assert offline.name.endswith(run_id(recipe.folder))
    (log,) = offline.glob("*.wandb")
    wanted = (b"gans", b"toys", b"tiny", b"generator/loss", b"best/modes", b"samples")
    deadline = time.monotonic() + 30  # W&B's own process may still be writing
    while not all(text in log.read_bytes() for text in wanted) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [text for text in wanted if text not in log.read_bytes()] == []
    assert list((offline / "files" / "media" / "images").glob("samples_*.png"))
    # A resumed run is the same run to W&B.
    train_silently(
        make_recipe(
            tracking={"wandb": {"mode": "offline"}},
            training={"steps": 3},
            evaluation={"metrics": ["modes"], "num_fakes": 50},
        )
    )
    logs = list((recipe.folder / "wandb").glob("offline-run-*/*.wandb"))  # folders of one second get -1, -2, ... added
    assert [log.stem for log in logs] == [f"run-{run_id(recipe.folder)}"] * 2


def test_wandb_without_a_login_says_what_to_do(make_recipe, train_silently, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(GanforgeError, match=r"wandb login.*mode=offline"):
        train_silently(make_recipe(tracking={"wandb": {}}))


def test_tensorboard_gets_figures_and_pictures(make_recipe, train_silently):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    recipe = make_recipe(tracking={"tensorboard": {}})
    train_silently(recipe)
    events = event_accumulator.EventAccumulator(str(recipe.folder / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    assert [event.step for event in events.Scalars("generator/loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events.Images("samples")] == [0, 6]


def test_a_run_folder_that_cannot_be_written_says_so(make_recipe, train_silently, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(GanforgeError, match=r"cannot be written.*overrides=\['output="):
        train_silently(make_recipe(output=str(tmp_path / "file")))


def test_a_loss_that_is_not_finite_stops_with_step_player_and_term(make_recipe, train_silently):
    recipe = make_recipe(optimizer={"generator": {"name": "sgd", "lr": 1e30}})
    with pytest.raises(DivergenceError, match=r"step \d+: the (generator|discriminator)'s \w+ is (nan|inf)"):
        train_silently(recipe)


def test_the_run_folder_holds_what_the_readme_says(make_recipe, train_silently):
    recipe = make_recipe(evaluation={"metrics": ["modes"], "num_fakes": 50}, samples={"every": 3, "num": 16})
    train_silently(recipe)
    names = {str(path.relative_to(recipe.folder)) for path in Path(recipe.folder).rglob("*")}
    assert {
        "recipe.resolved.toml", "metrics.jsonl", "samples/step-00000000.png", "samples/step-00000003.png",
        "samples/step-00000006.png", "checkpoints/step-00000006/generator.safetensors", "checkpoints/last",
        "generator.best.safetensors", "generator.best.json", "generator.last.safetensors", "generator.last.json",
    } <= names  # fmt: skip


def test_waiting_for_data_is_logged_and_a_warning_names_the_remedy_once(
    make_recipe, train_silently, monkeypatch, capsys
):
    from ganforge.data.loader import Loader
    from ganforge.training.between_steps import log

    following, now = Loader.next, [0.0]

    def slow(self):
        now[0] += 0.3
        self.source.wait_seconds += 0.3
        return following(self)

    def clock():
        now[0] += 0.1  # a step but for its data, on any machine
        return now[0]

    monkeypatch.setattr(Loader, "next", slow)
    monkeypatch.setattr(log, "time", SimpleNamespace(perf_counter=clock))
    recipe = make_recipe()
    train_silently(recipe)
    lines = [json.loads(line) for line in (recipe.folder / "metrics.jsonl").read_text().splitlines()]
    assert all(line["data/wait_share"] > 0.5 for line in lines)
    out = capsys.readouterr().out
    assert out.count("of the time goes into waiting for data; ") == 1


def test_samples_that_could_not_be_read_are_counted_in_the_log_and_named_at_the_end(
    make_recipe, train_silently, monkeypatch, capsys
):
    from ganforge.data.loader import Loader

    monkeypatch.setattr(Loader, "unreadable", lambda self: ["shard-000000.tar/7: is damaged"])
    recipe = make_recipe()
    train_silently(recipe)
    lines = [json.loads(line) for line in (recipe.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["data/unreadable"] for line in lines] == [1] * 6
    assert (
        "1 sample could not be read and others took their place; the first, shard-000000.tar/7"
        in capsys.readouterr().out
    )
