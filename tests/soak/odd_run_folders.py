"""Run folders in every state of repair, shown to `status`, `report`, `doctor` and to a training that goes on with them.

    python tests/soak/odd_run_folders.py --seed 0 --count 100

Each ends with exit code 0, or with 2 and one or two lines; without a traceback, and in time. Damage inside of a
checkpoint is another matter: there another one has to be found, and that the run is the same is what counts.
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
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from accelerate.state import AcceleratorState
from limits import Hang, seconds
from mutations import HOSTILE, mutated_bytes, mutated_tables, nested

from ganforge.cli.main import main as command_line
from ganforge.errors import GanforgeError
from ganforge.recipe import Recipe, resolve
from ganforge.training.session import run_session

COMMANDS = ("status", "report", "doctor", "resume")
FILES = (
    "metrics.jsonl", "metrics.jsonl", "metrics.jsonl", "evaluations.jsonl", "health.jsonl", "recipe.resolved.toml",
    "run.json", "samples/step-00000000.png", "generator.last.json", "slurm/jobs", "checkpoints/last",
    "checkpoints/step-00000020/checkpoint.json",
)  # fmt: skip
CHECKPOINTS = "checkpoints/step-"


def recipe_for(output: Path, steps: int) -> Recipe:
    return resolve(
        {
            "name": "run", "output": str(output), "data": {"name": "ring", "samples": 500},
            "generator": {"name": "mlp", "width": 8, "latent_dim": 4}, "discriminator": {"name": "mlp", "width": 8},
            "training": {"steps": steps, "batch_size": 16, "log_every": 1}, "samples": {"every": 10, "num": 4},
            "checkpoint": {"every": 10}, "evaluation": {"metrics": ["modes"], "num_fakes": 20, "every": 10},
        }
    )  # fmt: skip


def train(recipe: Recipe) -> int:
    AcceleratorState._reset_state(reset_partial_state=True)
    with contextlib.redirect_stdout(io.StringIO()):
        return run_session(recipe)


def damage(folder: Path, chance: random.Random, spared: str) -> list[str]:
    """One to three things that happen to a run folder; what happened, in words."""
    done = []
    for _ in range(chance.randint(1, 3)):
        if chance.random() < 0.15:
            done.append(_stray(folder, chance, spared))
            continue
        name = chance.choice([name for name in FILES if not spared or not name.startswith(spared)])
        path = folder / name
        change = chance.choice(CHANGES)
        path.parent.mkdir(exist_ok=True)
        content = path.read_bytes() if path.is_file() else b"1234\n"
        _remove(path)
        change(path, content, chance)
        done.append(f"{change.__name__} {name}")
    return done


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _stray(folder: Path, chance: random.Random, spared: str) -> str:
    names = [
        b"samples/step-abc.png",
        b"samples/step-99999999999999999999999.png",
        b"samples/step-\xff.png",
        b"\xff\xfe",
    ]
    if not spared:
        names += [b"checkpoints/step-abc/checkpoint.json", b"checkpoints/step-\xff/checkpoint.json"]
    name = chance.choice(names)
    path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(chance.choice([b"", b"{}", b"\x89PNG\r\n\x1a\n" + b"\0" * 100]))
    return f"stray {name!r}"


def bytes_changed(path: Path, content: bytes, chance: random.Random) -> None:
    path.write_bytes(mutated_bytes(content, chance))


def values_changed(path: Path, content: bytes, chance: random.Random) -> None:
    """Lines, or the whole, stay JSON and get other values."""
    lines = content.splitlines() if path.suffix == ".jsonl" else [content]
    for number in range(len(lines)):
        if chance.random() < 0.5:
            with contextlib.suppress(ValueError):
                value = {"line": json.loads(lines[number])}
                mutated_tables(value, chance, (*HOSTILE, float("nan"), float("inf"), nested(300)))
                lines[number] = json.dumps(value.get("line")).encode()
    path.write_bytes(b"\n".join(lines) + b"\n")


def one_kind_of_value(path: Path, content: bytes, chance: random.Random) -> None:
    """A figure has the same odd value in every line, as another program's would."""
    value = json.dumps(chance.choice(HOSTILE)).encode()
    name = chance.choice(
        [b"step", b"images", b"generator/loss", b"health/class_0", b"images_per_second", b"health/spread"]
    )
    lines = [
        line.replace(b'"' + name + b'": ', b'"' + name + b'": ' + value + b', "was": ') for line in content.split(b"\n")
    ]
    path.write_bytes(b"\n".join(lines))


def a_very_long_line(path: Path, content: bytes, chance: random.Random) -> None:
    path.write_bytes(content + b'{"step": 1, "x": "' + b"x" * (3 << 20) + b'"}\n' + content)


def gone(path: Path, content: bytes, chance: random.Random) -> None:
    """Nothing is there."""


def a_folder(path: Path, content: bytes, chance: random.Random) -> None:
    path.mkdir()


def a_dangling_link(path: Path, content: bytes, chance: random.Random) -> None:
    path.symlink_to("nowhere")


def a_link_to_itself(path: Path, content: bytes, chance: random.Random) -> None:
    path.symlink_to(path.name)


def a_pipe(path: Path, content: bytes, chance: random.Random) -> None:
    os.mkfifo(path)


Change = Callable[[Path, bytes, random.Random], None]
CHANGES: tuple[Change, ...] = (
    bytes_changed, bytes_changed, bytes_changed, values_changed, values_changed, values_changed, one_kind_of_value,
    a_very_long_line, gone, a_folder, a_dangling_link, a_link_to_itself, a_pipe,
)  # fmt: skip


def call(command: str, folder: Path, chance: random.Random) -> tuple[int, str]:
    """Exit code and what was said on stderr."""
    if command == "resume":
        try:
            return train(recipe_for(folder.parent, steps=24)), ""
        except GanforgeError as error:
            return 2, str(error)
    more = {"status": chance.choice([["--json"], []]), "report": ["-o", str(folder.parent / "page.html")], "doctor": []}
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")  # as strict as a terminal's
    arguments, sys.argv = sys.argv, ["ganforge", command, str(folder), *more[command]]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()) as err:
            command_line()
    except SystemExit as end:
        return int(end.code or 0), err.getvalue()
    finally:
        sys.argv = arguments
    raise AssertionError("a command ends by SystemExit")


def outcome(command: str, folder: Path, chance: random.Random) -> str:
    """`fine`, `refused`, or what is wrong."""
    try:
        with seconds(30):
            code, said = call(command, folder, chance)
    except Hang as error:
        return f"a hang: {error}\n{traceback.format_exc()}"
    except BaseException:
        return traceback.format_exc()
    if code == 0:
        return "fine"
    lines = said.splitlines()
    return "refused" if code == 2 and 1 <= len(lines) <= 2 else f"exit code {code}: {said}"


def attack(command: str, seed: int, count: int, base: Path, room: Path) -> Counter[str]:
    """What came of a number of damaged copies of a run folder.

    Args:
        command: one of `COMMANDS`.
        seed: of the damage.
        count: of copies.
        base: a run folder.
        room: for the copies.
    """
    seen: Counter[str] = Counter()
    for number in range(count):
        chance = random.Random(f"{seed} {command} {number}")
        folder = room / "runs" / "run"
        shutil.rmtree(room / "runs", ignore_errors=True)
        shutil.copytree(base, folder)
        done = damage(folder, chance, spared=CHECKPOINTS if command == "resume" else "")
        found = outcome(command, folder, chance)
        if found not in ("fine", "refused"):
            seen["failed"] += 1
            print(f"{command} {number} of seed {seed}, {done}:\n{found}", flush=True)
        else:
            seen[found] += 1
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("commands", nargs="*", default=COMMANDS)
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        assert train(recipe_for(room / "base", steps=20)) == 0
        for command in options.commands:
            seen = attack(command, options.seed, options.count, room / "base" / "run", room)
            failed += seen["failed"]
            print(command, dict(seen))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
