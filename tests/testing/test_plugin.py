"""`pytest --ganforge-plugin MODULE`: what an author of a plugin runs, and what it finds."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ganforge.testing.two_ranks  # noqa: F401  # with all that it needs: pytester forgets what is imported later
from ganforge.registry import register

pytest_plugins = ["pytester"]

PACKAGE = Path(__file__).parents[1] / "plugin_package" / "src"

BROKEN = '''
"""Components that each break something else."""
import torch
from torch import Tensor, nn

from ganforge.augment.base import Augmentation
from ganforge.objectives import Objective
from ganforge.registry import register


@register.discriminator("sure_of_itself")
class Sure(nn.Module):
    """Maps `(batch, 2)` to probabilities in place of logits (Example of a mistake, 2026).

    Args:
        spec: what a sample looks like.
    """

    def __init__(self, spec) -> None:
        super().__init__()
        if spec.is_image:
            raise ValueError("is for points")
        self.layer = nn.Linear(spec.shape[0], 1)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layer(samples.flatten(1)).sigmoid().squeeze(1)


@register.generator("undocumented")
class Undocumented(nn.Module):
    """Nobody knows what this is

    Args:
        spec: what a sample looks like.
    """

    def __init__(self, spec, *, speed: float = 1.0) -> None:
        super().__init__()
        if spec.is_image:
            raise ValueError("is for points")
        self.latent_dim = 4
        self.layer = nn.Linear(4, spec.shape[0])
        self.forgotten = nn.Linear(4, 4)

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layer(latent)


@register.objective("summed")
class Summed(Objective):
    """The sum over the batch in place of the mean (Example of a mistake, 2026)."""

    def discriminator_loss(self, turn) -> Tensor:
        return turn.fake_logits.sum() - turn.real_logits.sum()

    def generator_loss(self, turn) -> Tensor:
        return -turn.fake_logits.sum()


@register.augment("goes_apart")
class GoesApart(Augmentation):
    """Remembers what only its own rank saw (Example of a mistake, 2026).

    Args:
        spec: what a sample looks like.
    """

    def __init__(self, spec) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, samples: Tensor) -> Tensor:
        return samples + self.mean

    def observe(self, real_logits: Tensor) -> None:
        self.mean += real_logits.mean()
'''

EXPECTED = [
    "test_logits_are_logits_and_not_probabilities[discriminator-sure_of_itself",
    "test_first_line_of_the_docstring_is_one_sentence[generator-undocumented]",
    "test_every_option_is_documented_and_nothing_else[generator-undocumented]",
    "test_a_method_names_its_authors_and_year[generator-undocumented]",
    "test_a_network_names_the_shapes_of_what_it_takes_and_gives[generator-undocumented]",
    "test_generator_gives_samples_of_the_spec_and_gradients_to_every_weight[generator-undocumented",
    "test_an_objective_is_a_mean_over_the_batch[objective-summed-no-labels]",
    "test_two_ranks_train_it_and_stay_equal[generator-undocumented]",
    "test_two_ranks_train_it_and_stay_equal[augment-goes_apart]",
]
"""What must fail, and by which test."""


@pytest.fixture(autouse=True)
def registry_as_it_was() -> Iterator[None]:
    before = {name: dict(kind._components) for name, kind in register.kinds().items()}
    yield
    for name, kind in register.kinds().items():
        kind._components.clear()
        kind._components.update(before[name])


def collect(pytester: pytest.Pytester, *arguments: str) -> list[str]:
    result = pytester.runpytest("--collect-only", "-q", *arguments)
    return [line for line in result.outlines if "::" in line]


def test_a_whole_plugin_passes(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own process, as its author would start it; two ranks started by it find the plugin too."""
    modules = [part for name in ("generator", "objective") for part in ("--ganforge-plugin", f"gan_orbits.{name}")]
    monkeypatch.setenv("PYTHONPATH", str(PACKAGE))
    pytester.makepyfile(test_other="def test_of_the_plugins_own(): assert False")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--strict-markers", *modules],
        cwd=pytester.path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "test_other" not in done.stdout


def test_what_is_broken_fails_by_the_test_that_is_for_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(broken_components=BROKEN)
    pytester.syspathinsert()
    result = pytester.runpytest("-q", "--ganforge-plugin", "broken_components", "-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    failed = [line for line in result.outlines if line.startswith("FAILED")]
    for name in EXPECTED:
        assert any(name in line for line in failed), f"{name} passed, or was not run"
    for healthy in ("objective-summed", "discriminator-sure_of_itself"):
        assert not any(f"stay_equal[{healthy}]" in line for line in failed), "what is broken takes others down with it"


def test_only_what_the_module_registers_is_tested(pytester: pytest.Pytester) -> None:
    names = collect(pytester, "--ganforge-plugin", "ganforge.augment.cutout")
    assert len(names) > 5
    assert all("augment-cutout" in name for name in names)


def test_paths_are_run_as_well(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_own="def test_of_the_plugins_own(): pass")
    names = collect(pytester, "--ganforge-plugin", "ganforge.augment.cutout", "test_own.py")
    assert any("test_of_the_plugins_own" in name for name in names)
    assert any("augment-cutout" in name for name in names)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("no_such_module", "'no_such_module' cannot be imported"),
        ("json", "json: registers no component"),
    ],
)
def test_a_module_without_components_is_an_error_and_no_success(
    pytester: pytest.Pytester, module: str, words: str
) -> None:
    result = pytester.runpytest("--ganforge-plugin", module)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert words in result.stdout.str() + result.stderr.str()


def test_without_the_option_pytest_is_as_it_was_and_imports_nothing_heavy(tmp_path: Path) -> None:
    """Everybody whose environment has ganforge loads the plugin with pytest."""
    (tmp_path / "test_own.py").write_text(
        "import sys\n\ndef test_own():\n"
        "    heavy = {'torch', 'numpy', 'accelerate', 'pydantic', 'ganforge.registry'} & set(sys.modules)\n"
        "    assert not heavy\n"
        "    assert 'ganforge.testing.plugin' in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--strict-markers"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    assert "warning" not in done.stdout
