"""A complete third-party package, installed into a fresh environment, trains through nothing but its names."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import ganforge

pytestmark = pytest.mark.slow

PACKAGE = Path(__file__).parent / "plugin_package"
RECIPE = PACKAGE / "recipes" / "orbits.toml"
FEW = ("--set", "training.steps=4", "--set", "training.log_every=2", "--set", "data.samples=1000")


def run(python: Path | str, *arguments: object, cwd: Path, code: int = 0, wait: int = 120, **environment: str) -> str:
    """What a command prints, both streams; fails unless it ends with that exit code."""
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [python, *map(str, arguments)],
        cwd=cwd,
        env={**inherited, "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=wait,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with the package installed into it.

    The libraries of this environment are lent to it by a `.pth` file, so that nothing is downloaded.
    """
    home = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", home / "venv", cwd=home)
    python = home / "venv" / "bin" / "python"
    (site,) = (home / "venv").glob("lib/python*/site-packages")
    (site / "lent.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    source = home / "source"  # the build leaves files beside what it builds
    source.mkdir()
    for path in PACKAGE.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            (source / path.relative_to(PACKAGE)).parent.mkdir(parents=True, exist_ok=True)
            (source / path.relative_to(PACKAGE)).write_bytes(path.read_bytes())
    run(
        sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python,
        "install", "--quiet", "--no-deps", "--no-build-isolation", source, cwd=home,
    )  # fmt: skip
    assert (site / "gan_orbits").is_dir()
    return python


def test_list_names_the_entry_point_and_its_distribution(python: Path, tmp_path: Path) -> None:
    out = run(python, "-m", "ganforge", "list", "generator", cwd=tmp_path)
    assert "dcgan" in out
    assert "entry point gan_orbits.generator:Orbits (gan-orbits 0.1.0)" in out


def test_show_documents_a_component_of_another_package(python: Path, tmp_path: Path) -> None:
    out = run(python, "-m", "ganforge", "show", "orbits", cwd=tmp_path)
    assert "generator orbits: Points in the plane from a learned radius and angle" in out
    for option in ("latent_dim", "width", "radius", "float > 0", "what the radius starts around."):
        assert option in out
    assert "from gan-orbits 0.1.0, gan_orbits.generator.Orbits" in out
    assert "site-packages/gan_orbits/generator.py:" in out


def test_a_module_is_imported_only_when_one_of_its_names_is_asked_for(python: Path, tmp_path: Path) -> None:
    code = """
import sys
from ganforge.registry import register
register.generator.get("mlp"), register.generator.names(), register.objective.names()
assert not [name for name in sys.modules if name.startswith("gan_orbits")]
register.generator.get("orbits")
assert "gan_orbits.generator" in sys.modules
assert "gan_orbits.objective" not in sys.modules
"""
    run(python, "-c", code, cwd=tmp_path)


def test_a_recipe_trains_through_entry_points_and_its_generator_loads_again(python: Path, tmp_path: Path) -> None:
    assert "plugins" not in RECIPE.read_text()
    run(python, "-m", "ganforge", "train", RECIPE, *FEW, cwd=tmp_path)
    resolved = (tmp_path / "runs/orbits/recipe.resolved.toml").read_text()
    assert 'name = "least-squares"\nreal = 0.9\n' in resolved
    out = run(python, "-m", "ganforge", "sample", "runs/orbits", "--n", 16, "--out", "points.png", cwd=tmp_path)
    assert out == "16 samples in points.png\n"


def test_a_mistake_in_the_plugins_options_is_answered_like_any_other(python: Path, tmp_path: Path) -> None:
    out = run(python, "-m", "ganforge", "recipe", "check", RECIPE, "--set", "generator.radios=2", cwd=tmp_path, code=2)
    assert out == f"{RECIPE}: generator.radios: unknown key (did you mean 'radius'?)\n"


def test_a_recipe_trains_through_plugins_without_installing_anything(tmp_path: Path) -> None:
    """The same package from its checkout, in this environment that it is not installed in."""
    plugins = 'plugins=["gan_orbits.generator", "gan_orbits.objective"]'
    path = str(PACKAGE / "src")
    out = run(sys.executable, "-m", "ganforge", "recipe", "check", RECIPE, cwd=tmp_path, code=2, PYTHONPATH=path)
    assert "generator.name: no generator is called 'orbits'" in out
    run(sys.executable, "-m", "ganforge", "train", RECIPE, *FEW, "--set", plugins, cwd=tmp_path, PYTHONPATH=path)
    assert (tmp_path / "runs/orbits/generator.last.safetensors").is_file()
    out = run(
        sys.executable,
        "-m",
        "ganforge",
        "sample",
        "runs/orbits",
        "--trust",
        "--n",
        4,
        "--out",
        "out",
        cwd=tmp_path,
        PYTHONPATH=path,
    )
    assert out == "4 samples in out/samples.npy\n"


def test_its_types_are_right_to_the_strictest_checker(tmp_path: Path) -> None:
    """What a plugin imports of ganforge says its types, and says that it does: without `py.typed` nobody would look."""
    home = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=tmp_path)
    (site,) = home.glob("lib/python*/site-packages")
    # Plain paths, which a type checker follows: ganforge as it is here, and the libraries of this environment.
    (site / "lent.pth").write_text(f"{Path(ganforge.__file__).parent.parent}\n{sysconfig.get_path('purelib')}\n")
    shutil.copytree(PACKAGE / "src" / "gan_orbits", tmp_path / "gan_orbits")  # the checker takes relative paths only
    config = tmp_path / "pyrightconfig.json"
    config.write_text(json.dumps({"include": ["gan_orbits"], "typeCheckingMode": "strict"}))
    checker = ("-m", "pyright", "-p", config, "--pythonpath", home / "bin" / "python", "--outputjson")
    found = json.loads(run(sys.executable, *checker, cwd=tmp_path, wait=400))
    assert found["generalDiagnostics"] == []
    assert found["summary"]["filesAnalyzed"] == 3
