"""`ganforge sweep`: real trainings of the ring, shared by processes, killed and gone on with."""

import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import optuna
import pytest
import pythons
from filelock import FileLock
from optuna.trial import TrialState
from same_run import assert_same_run

from ganforge.errors import DivergenceError, GanforgeError
from ganforge.metrics import Metric
from ganforge.recipe import load
from ganforge.registry import register
from ganforge.sweep import run as sweep_run
from ganforge.sweep import study as sweep_study
from ganforge.sweep.space import parse_axis
from ganforge.sweep.study import SharedStudy

RECIPE = """
name = "tiny"
generator = {name = "mlp", width = 16, latent_dim = 4}
discriminator = {name = "mlp", width = 16}

[optimizer.generator]
name = "adam"

[optimizer.discriminator]
name = "adam"

[data]
name = "ring"
samples = 1000

[training]
steps = 40
batch_size = 32
log_every = 10
ema = 0

[samples]
every = 0
num = 16

[checkpoint]
every = 10

[evaluation]
metrics = ["modes"]
best = "good_points"
every = 10
num_fakes = 500
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


def stored(folder: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=folder.name, storage=f"sqlite:///{folder}/study.db").trials


def test_every_trial_trains_in_its_own_folder_and_the_best_becomes_a_recipe(recipe, ganforge):
    done = ganforge(
        "sweep", recipe, "--grid", "optimizer.generator.lr=1e-3,1e-9", "--random", "training.ema=100..200",
        "--study", "lr", "--no-prune", "--trials", 2, "--set", "tracking.wandb.mode=disabled",
    )  # fmt: skip
    assert done.code == 0, done.err
    folder = recipe.parent / "runs" / "lr"
    for number, lr in enumerate((1e-3, 1e-9)):
        name = f"lr-{number:04d}"
        trained: Any = load(folder / name / "recipe.resolved.toml")
        assert (trained.name, trained.tracking.wandb.group) == (name, "lr")
        assert trained.optimizer.generator.lr == lr
        assert 100 <= trained.training.ema <= 200
        assert (folder / name / "checkpoints" / "step-00000040").exists()
    trials = stored(folder)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2
    assert [sorted(trial.intermediate_values) for trial in trials] == [[10, 20, 30, 40]] * 2
    assert [trial.value for trial in trials] == [max(trial.intermediate_values.values()) for trial in trials]
    best = max(range(2), key=lambda number: trials[number].values[0])
    assert f"best: trial {best}" in done.out
    text = (folder / "best.toml").read_text()
    assert tomllib.loads(text)["optimizer"]["generator"]["lr"] == (1e-3, 1e-9)[best]
    assert load(folder / "best.toml").folder == Path("runs/lr-best")


def test_of_trials_with_the_same_figure_the_next_figure_finds_the_best(recipe, ganforge, monkeypatch):
    register.metric.names()  # the built-ins stay where they are
    monkeypatch.setattr(register.metric, "_components", dict(register.metric._components))
    seconds = iter(range(100, 0, -1))

    @register.metric("test-tied")
    class Tied(Metric):
        looks_at = "samples"
        needs_reals = False
        better: ClassVar = {"tied": "higher", "second": "lower"}

        def __call__(self, fakes, reals):
            return {"tied": 8.0, "second": float(next(seconds))}

    done = ganforge(
        "sweep", recipe, "--grid", "optimizer.generator.lr=1e-3,1e-9", "--study", "tied", "--no-prune", "--trials", 2,
        "--set", 'evaluation.metrics=["test-tied"]', "--set", "evaluation.best=tied",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "best: trial 1" in done.out


def test_a_trial_worse_than_the_others_is_ended_early(recipe, ganforge, monkeypatch):
    monkeypatch.setattr(sweep_study, "STARTUP", 1)
    done = ganforge("sweep", recipe, "--grid", "optimizer.generator.lr=3e-3,1e-9", "--study", "early",
                    "--set", "training.steps=200", "--set", "evaluation.every=50")  # fmt: skip
    assert done.code == 0, done.err
    good, bad = stored(recipe.parent / "runs" / "early")
    assert (good.state, bad.state) == (TrialState.COMPLETE, TrialState.PRUNED)
    assert bad.last_step is not None
    assert bad.last_step < 200
    folder = recipe.parent / "runs" / "early" / "early-0001"
    assert (folder / "checkpoints" / f"step-{bad.last_step:08d}").exists(), "it ended as runs end, with all saved"
    assert "worse than the median" in done.out


def test_a_trial_whose_values_do_not_go_together_fails_and_the_sweep_goes_on(recipe, ganforge):
    done = ganforge("sweep", recipe, "--grid", "training.discriminator_micro_batches=1,3,2", "--study", "pieces")
    assert done.code == 2, "a script must hear of it"
    states = [trial.state for trial in stored(recipe.parent / "runs" / "pieces")]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    assert "32 does not divide by 3 micro-batches" in done.out


def test_a_divergence_is_an_answer_but_a_sweep_in_which_every_trial_fails_has_found_nothing(
    recipe, ganforge, monkeypatch
):
    def diverge(recipe, report):
        if recipe.optimizer.generator.lr > 1:
            raise DivergenceError("step 3: the generator's loss is nan")
        report(10, {"good_points": 0.5})
        return 0

    monkeypatch.setattr(sweep_run, "run_session", diverge)
    axis = "optimizer.generator.lr=1e-3,100"
    assert ganforge("sweep", recipe, "--grid", axis, "--study", "some").code == 0
    assert ganforge("sweep", recipe, "--grid", axis.replace("1e-3", "10"), "--study", "all").code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to vary"),
        (["--grid", "training.emma=1,2"], "training.emma: unknown key (did you mean 'ema'?)"),
        (["--grid", 'generator.width=16,"x"'], 'generator.width: must be a whole number, not the string "x"'),
        (["--grid", "seed=1,2", "--grid", "training.ema=5,-1"], "training.ema: must be at least 0, not -1"),
        (["--random", "training.ema=-1..2", "--trials", "2"], "training.ema: must be at least 0, not -1"),
        (["--random", "generator.name=mlp,mpl", "--trials", "2"], "no generator is called 'mpl'"),
        (["--random", "training.ema=1..2"], "give --trials N"),
        (["--grid", "seed=1,2", "--random", "seed=3,4", "--trials", "2"], "seed is given twice"),
        (["--grid", "seed=1,2", "--set", "evaluation={}"], "a sweep compares trials by a figure"),
        (["--grid", "seed=1,2", "--set", "evaluation.best=fid"], "no metric gives 'fid'"),
        (["--grid", "seed=1,2", "--storage", "nonsense"], "--storage nonsense: cannot be opened"),
    ],
)
def test_a_mistake_is_told_before_anything_is_trained(recipe, ganforge, arguments, message):
    done = ganforge("sweep", recipe, *arguments)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert not list(recipe.parent.rglob("checkpoints"))


def test_several_processes_of_one_launch_are_refused_with_what_to_do(recipe, ganforge, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = ganforge("sweep", recipe, "--grid", "seed=1,2")
    assert done.code == 2
    assert "start it once for each GPU" in done.err


# --- who works on what ---------------------------------------------------------------------------


@pytest.fixture
def open_study(tmp_path: Path) -> Callable[..., SharedStudy]:
    def make(axis: str = "seed=1,2,3", recipe: str = "same") -> SharedStudy:
        axes = [parse_axis("grid", axis)]
        storage = f"sqlite:///{tmp_path}/study.db"
        return SharedStudy("shared", storage, tmp_path, axes, recipe, "minimize", seed=0, prunes=False)

    return make


def test_a_study_started_again_keeps_the_old_one_and_one_that_is_worked_on_is_left_alone(recipe, ganforge):
    command = ("sweep", recipe, "--grid", "seed=1,2", "--set", "training.steps=10")
    assert ganforge(*command).code == 0
    folder = recipe.parent / "runs" / "tiny-sweep"
    lock = FileLock(folder / ".trial-0001.lock")
    with lock:
        done = ganforge(*command, "--restart")
        assert (done.code, "another process works on trial 0001" in done.err) == (2, True)
    done = ganforge(*command, "--restart")
    assert (done.code, "was moved to runs/tiny-sweep/.old-1" in done.out) == (0, True)
    assert (folder / ".old-1" / "study.db").exists()
    for trial in ("tiny-sweep-0000", "tiny-sweep-0001"):
        assert (folder / ".old-1" / trial / "metrics.jsonl").exists()
        assert (folder / trial / "metrics.jsonl").exists()
    assert len(stored(folder)) == 2
    done = ganforge(*command, "--restart", "--storage", f"sqlite:///{folder}/other.db")
    assert (done.code, "choose a new name with --study" in done.err) == (2, True)


def test_an_orphan_goes_to_whoever_asks_next_with_the_values_it_had(open_study):
    one, other = open_study(), open_study()
    first, second = one.claim(3), other.claim(3)
    assert [claim.trial.number for claim in (first, second)] == [0, 1]
    assert first.trial.params == {"seed": "1"}
    first.release()  # as when its process is killed: the trial still counts as running
    taken = other.claim(3)
    assert (taken.trial.number, taken.is_new, taken.trial.params) == (0, False, {"seed": "1"})
    third = one.claim(3)
    assert third.trial.number == 2
    assert one.claim(3) is None, "three were asked for, and all are being worked on"


def test_a_trial_that_another_process_finishes_while_it_is_looked_at_is_no_orphan(open_study, monkeypatch):
    one, other = open_study(), open_study()
    claim = one.claim(1)
    locked = other._locked

    def finished_just_now(number):
        one.study.tell(claim.trial, 1.0)
        claim.release()
        return locked(number)

    monkeypatch.setattr(other, "_locked", finished_just_now)
    assert other.claim(1) is None


def test_a_sweep_that_was_asked_to_leave_keeps_its_trial_open(recipe, ganforge, monkeypatch):
    monkeypatch.setattr(sweep_run, "run_session", lambda recipe, report: 85)
    assert ganforge("sweep", recipe, "--grid", "seed=1,2", "--study", "left").code == 85
    assert [trial.state for trial in stored(recipe.parent / "runs" / "left")] == [TrialState.RUNNING]


def test_a_name_does_not_stand_for_two_different_sweeps(open_study):
    open_study()
    with pytest.raises(GanforgeError, match=r"'shared' varies other options; choose another `study=...`"):
        open_study(axis="seed=1,2")
    with pytest.raises(GanforgeError, match="'shared' was begun under another recipe"):
        open_study(recipe="another")


# --- processes -----------------------------------------------------------------------------------


def start(recipe: Path, *arguments: str) -> pythons.Python:
    return pythons.start("-m", "ganforge", "sweep", recipe.name, *arguments, cwd=recipe.parent)


@pytest.mark.slow
def test_killed_in_the_middle_of_a_trial_it_goes_on_from_that_trials_checkpoint(recipe, ganforge):
    options = [
        "--grid",
        "optimizer.generator.lr=1e-3,2e-3",
        "--set",
        "training.steps=300",
        "--set",
        "evaluation.every=50",
    ]
    broken = start(recipe, *options, "--study", "sweep")
    folder = recipe.parent / "runs" / "sweep"
    deadline = time.monotonic() + 120
    while not (folder / "sweep-0001" / "checkpoints" / "step-00000050").exists():
        assert broken.poll() is None, broken.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    broken.kill()
    broken.wait()
    states = [trial.state for trial in stored(folder)]
    assert states == [TrialState.COMPLETE, TrialState.RUNNING]

    again = ganforge("sweep", recipe, *options, "--study", "sweep")
    assert again.code == 0, again.err
    assert "sweep-0000:" not in again.out, "what is finished is not trained again"
    assert "sweep-0001 goes on: optimizer.generator.lr=2e-3" in again.out
    assert "resumed from" in again.out
    assert ganforge("sweep", recipe, *options, "--study", "whole").code == 0
    whole = recipe.parent / "runs" / "whole"
    assert [trial.value for trial in stored(folder)] == [trial.value for trial in stored(whole)]
    for number in range(2):
        assert_same_run(folder / f"sweep-{number:04d}", whole / f"whole-{number:04d}")


@pytest.mark.slow
def test_two_processes_share_a_study_and_train_each_trial_once(recipe):
    options = ["--grid", "seed=1,2,3,4,5,6", "--study", "pair", "--storage", "sqlite:///shared.db",
               "--no-prune", "--set", "training.steps=300"]  # fmt: skip
    outputs = [process.communicate(timeout=180)[0] for process in [start(recipe, *options) for _ in range(2)]]
    begun = [
        {number for number in range(6) if f"pair-{number:04d}: seed={number + 1}\n" in output} for output in outputs
    ]
    assert begun[0] | begun[1] == set(range(6)), outputs
    assert not begun[0] & begun[1], "each trial once"
    assert all(begun), "both worked"
    trials = optuna.load_study(study_name="pair", storage=f"sqlite:///{recipe.parent}/shared.db").trials
    assert [trial.params["seed"] for trial in trials] == ["1", "2", "3", "4", "5", "6"]
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 6
