"""Damage checkpoints at random, and see that a resumed run ends as the undamaged one and says what it passed over.

    python tests/soak/damaged_checkpoints.py --seed 0 --count 150

Trains a tiny recipe with everything that has state, and keeps three checkpoints. Each case takes a copy, damages one to
three files of one or more of them, and resumes. The end has to be bit for bit that of the run whose checkpoints were
left alone, and where an older checkpoint was used the output has to name those before it. Where none can be used the
run is refused in a line, and nothing in its folder has changed.
"""

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("XDG_CACHE_HOME", tempfile.gettempdir())
sys.path.insert(0, str(Path(__file__).parents[1]))

from accelerate.state import AcceleratorState
from limits import Hang, seconds
from resealed import as_format_1, reseal
from same_run import assert_same_run

from ganforge.errors import GanforgeError
from ganforge.recipe import Recipe, resolve
from ganforge.saved.checkpoint import whole_checkpoints
from ganforge.training.session import run_session

SECONDS = 60
"""A case that takes longer hangs."""


def recipe_for(output: Path, steps: int) -> Recipe:
    """The same run in any folder."""
    return resolve(
        {
            "name": "damaged",
            "output": str(output),
            "data": {"name": "ring", "samples": 200},
            "generator": {"name": "mlp", "width": 8, "latent_dim": 4, "norm": "batch"},
            "discriminator": {"name": "mlp", "width": 8, "dropout": 0.2},
            "penalties": [{"name": "r1", "gamma": 0.1, "interval": 2}],
            "training": {"steps": steps, "batch_size": 8, "log_every": 1, "ema": 100.0},
            "checkpoint": {"every": 2, "keep_last": 3},
            "samples": {"every": 0, "num": 4},
        }
    )


def train(recipe: Recipe) -> str:
    """Train in this process; what was said."""
    AcceleratorState._reset_state(reset_partial_state=True)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = run_session(recipe)
    assert code == 0, said.getvalue()
    return said.getvalue()


Damage = Callable[[Path, random.Random], None]


def flip(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def zero(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    begin, length = chance.randrange(len(data)), chance.choice([1, 4, 64, 512, 4096])
    data[begin : begin + length] = bytes(min(length, len(data) - begin))
    path.write_bytes(data)


def noise(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    begin, length = chance.randrange(len(data)), chance.choice([1, 16, 256])
    data[begin : begin + length] = chance.randbytes(min(length, len(data) - begin))
    path.write_bytes(data)


def cut(path: Path, chance: random.Random) -> None:
    os.truncate(path, chance.randrange(path.stat().st_size))


def append(path: Path, chance: random.Random) -> None:
    with path.open("ab") as file:
        file.write(chance.randbytes(chance.choice([1, 100])))


def delete(path: Path, chance: random.Random) -> None:
    path.unlink()


def folder_instead(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.mkdir()


def pipe_instead(path: Path, chance: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def link_to_nowhere(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def link_to_zeros(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def of_an_older_one(path: Path, chance: random.Random) -> None:
    older = [other for other in path.parent.parent.glob(f"step-*/{path.name}") if other.parent < path.parent]
    if older:
        shutil.copy(chance.choice(older), path)


DAMAGES: tuple[Damage, ...] = (
    flip, flip, flip, zero, zero, noise, cut, append, delete, folder_instead, pipe_instead, link_to_nowhere,
    link_to_zeros, of_an_older_one,
)  # fmt: skip

ODD_STATES: tuple[Any, ...] = (
    "[]", "null", "7", '"step"', "{}", "", "\x00" * 100, "[" * 100_000, '{"step": ' + "9" * 5000 + "}", "\ufeff{}",
    {"step": "6"}, {"step": -6}, {"step": 1e300}, {"step": True}, {"step": None}, {"step": 7}, {"format": 99},
    {"format": 0}, {"format": "2"}, {"format": None}, {"files": []}, {"files": {"../../x": 1}}, {"files": {"": 0}},
    {"files": {"generator.safetensors": "1"}}, {"sha256": {}}, {"sha256": None}, {"digest": ""}, {"best": 5},
    {"images": []}, {"rollbacks": -1}, {"world_size": "one"}, {"layouts": []}, {"data": 5},
)  # fmt: skip
"""Texts of `checkpoint.json`, and what is changed in it."""


def odd_state(path: Path, odd: Any) -> None:
    file = path / "checkpoint.json"
    if isinstance(odd, str):
        file.write_text(odd)
    else:
        file.write_text(json.dumps(json.loads(file.read_text()) | odd))


def damage(checkpoints: list[Path], case: int, chance: random.Random) -> tuple[str, set[str]]:
    """What was done, and to which checkpoints."""
    if case % 4 == 3:
        odd = ODD_STATES[case // 4 % len(ODD_STATES)]
        odd_state(checkpoints[-1], odd)
        if isinstance(odd, dict) and not odd.keys() & {"files", "sha256", "digest"} and case % 8 == 3:
            reseal(checkpoints[-1])  # whoever changed it has signed it as well
        return f"checkpoint.json: {str(odd)[:60]}", {checkpoints[-1].name}
    hit = checkpoints[-chance.choice([1, 1, 1, 2, 3]) :]
    done = []
    for path in hit:
        for name in chance.sample(sorted(file.name for file in path.iterdir()), chance.choice([1, 1, 1, 2])):
            how = chance.choice(DAMAGES)
            how(path / name, chance)
            done.append(f"{path.name}/{name}: {how.__name__}")
    return "; ".join(done), {path.name for path in hit}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a run that a refusal must leave alone."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".lock", ".holder")
    }


def attack(base: Path, reference: Path, place: Path, case: int, seed: int) -> str:
    """One case; how it ended."""
    chance = random.Random(f"{seed} {case}")
    shutil.copytree(base, place / "damaged")
    recipe = recipe_for(place, 8)
    checkpoints = whole_checkpoints(recipe.folder / "checkpoints")
    if case % 10 == 9:
        for path in checkpoints:
            as_format_1(path)
    what, hit = damage(checkpoints, case, chance)
    is_old = case % 10 == 9
    before = contents(recipe.folder)
    said, refusal = "", ""
    try:
        with seconds(SECONDS):
            said = train(recipe)
    except Hang as error:
        raise AssertionError(f"{what}: hangs") from error
    except GanforgeError as error:
        refusal = str(error)
    if refusal:
        assert is_old or len(hit) == len(checkpoints), f"{what}: refused though an older one is whole: {refusal}"
        assert len(refusal.splitlines()) <= 3, f"{what}: {refusal}"
        assert contents(recipe.folder) == before, f"{what}: a refusal changed the folder"
        return "refused"
    if not is_old:  # a flipped weight of format 1 shows nowhere; that a run of it goes on is all that can be asked
        try:
            assert_same_run(reference, recipe.folder)
        except AssertionError as error:
            raise AssertionError(f"{what}: another result, and nothing was said\n{said}") from error
    (line,) = [line for line in said.splitlines() if line.startswith("resumed from")]
    used = line.split()[2].rpartition("/")[2]
    for path in checkpoints:
        if path.name > used:
            assert f"passed over {path.name}: " in said, f"{what}: {path.name} was passed over in silence\n{said}"
            assert path.name in hit, f"{what}: {path.name} was not damaged\n{said}"
    return "the same run" if used == checkpoints[-1].name else f"from {used}"


def prepare(place: Path) -> tuple[Path, Path]:
    """A run of six steps, and a copy of it that went on to its end unharmed."""
    train(recipe_for(place / "base", 6))
    shutil.copytree(place / "base", place / "reference")
    train(recipe_for(place / "reference", 8))
    return place / "base" / "damaged", place / "reference" / "damaged"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=150, help="number of cases")
    parser.add_argument("--seed", type=int, default=0, help="of the damage")
    arguments = parser.parse_args()
    ends: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        base, reference = prepare(Path(name))
        for case in range(arguments.count):
            place = Path(name) / str(case)
            end = attack(base, reference, place, case, arguments.seed)
            ends[end] = ends.get(end, 0) + 1
            shutil.rmtree(place)
    print(f"{arguments.count} cases: {', '.join(f'{count} {end}' for end, count in sorted(ends.items()))}")


if __name__ == "__main__":
    main()
