"""Mutated recipes: each is refused in words or can be trained.

    python tests/soak/fuzz_recipes.py --seed 0 --count 2000

What resolves is built as `train --dry-run` builds it, with a machine of 1 GB pretended.
"""

import argparse
import io
import os
import random
import sys
import tempfile
import tomllib
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import tomli_w
from accelerate.state import AcceleratorState
from limits import Hang, seconds
from mutations import HOSTILE, mutated_bytes, mutated_tables, nested, paths_of, replace_at, value_at
from rich.console import Console

from ganforge.building import networks
from ganforge.errors import GanforgeError
from ganforge.recipe import dump, load
from ganforge.registry import register
from ganforge.training.dry_run import describe_run

PRETENDED = 1 << 30
"""Bytes of memory that the machine is said to have, so that no recipe takes more for its weights."""

RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("*.toml"))
EASY = """\
name = "easy"
plugins = []
data = { name = "ring", modes = 8, samples = 1000 }
generator = { name = "mlp", width = 16, depth = 2, latent_dim = 8 }
discriminator = { name = "mlp", width = 16, packing = 2, minibatch_std = 2 }
augment = [{ name = "instance_noise", sigma = 0.1 }]
penalties = [{ name = "r1", gamma = 0.1, interval = 4 }]
ramps = [{ option = "penalties.0.gamma", start = 1.0, end = 2.0, over = 100 }]
[training]
steps = 10
batch_size = 16
[samples]
num = 4
[evaluation]
metrics = ["modes"]
num_fakes = 100
[health.held_out]
name = "ring"
samples = 100
"""
SETTINGS = ("ramps.0.option", "data.modes", "generator.depth", "generator.width", "training.batch_size", "seed", "name")
TEXTS = (
    "ramps.0.start",
    "seed",
    "training.steps",
    "data",
    "data.cache_dir",
    "optimizer.generator.betas.0",
    "[",
    "a." * 40,
)


def mutated(chance: random.Random) -> tuple[bytes, list[str]]:
    """A recipe's file, and what is set on the command line."""
    text = EASY if chance.random() < 0.8 else chance.choice(RECIPES).read_text()
    if chance.random() < 0.25:
        return mutated_bytes(text.encode(), chance), []
    tables = tomllib.loads(text)
    overrides = []
    match chance.randrange(16):
        case 0:
            overrides = [f"{chance.choice(SETTINGS)}={chance.choice([*map(repr, HOSTILE), '9' * 5000, *TEXTS])}"]
        case 1:
            kind = chance.choice(list(register.kinds().values()))
            name = chance.choice(kind.names())
            place = chance.choice(["generator", "discriminator", "objective", "schedule", "data"])
            tables[place] = {"name": name, chance.choice(["width", "depth", "size", "window"]): chance.choice(HOSTILE)}
        case 2:
            tables["generator"] = {"name": "mlp", "width": nested(chance.choice([3, 40, 500, 900]))}
        case 3:
            tables["ramps"] = [{"option": chance.choice(TEXTS), "start": 1.0, "end": 1e300, "over": 2**31}]
    if chance.random() < 0.7:
        _other_numbers(tables, chance)
    else:
        mutated_tables(tables, chance, tuple(value for value in HOSTILE if value != 10**400 or chance.random() < 0.5))
    try:
        return tomli_w.dumps(tables).encode(), overrides
    except (RecursionError, ValueError, TypeError):
        return b"width = " + b"[" * 500 + b"]" * 500, overrides


def _other_numbers(tables: dict[str, Any], chance: random.Random) -> None:
    """One to three numbers become others: most of what results can be trained, or nearly."""
    numbers = [path for path in paths_of(tables) if type(value_at(tables, path)) in (int, float)]
    for path in chance.sample(numbers, min(len(numbers), chance.choice([1, 1, 1, 3]))):
        old = value_at(tables, path)
        near = [0, 1, 2, 3, 7, 100, 4096, 65_536, 2**31, 2**63 - 1, -1, old + 1, old * 2, old / 2, old * 10]
        new = chance.choice([*near, 1e-30, 1e30])
        replace_at(tables, path, float(new) if isinstance(old, float) or abs(new) < 1 else int(new))


def outcome(content: bytes, overrides: list[str], folder: Path) -> str:
    """`refused`, `trainable`, or what is wrong."""
    path = folder / "recipe.toml"
    path.write_bytes(content)
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        with seconds(120):
            recipe = load(path, [*overrides, f"output={folder}/runs"])
            again = folder / "again.toml"
            again.write_text(dump(recipe))
            if load(again) != recipe:
                return "its dump is another recipe"
            describe_run(recipe, Console(file=io.StringIO()))
    except GanforgeError as error:
        lines = str(error).splitlines()
        too_long = [line for line in lines if len(line) > 2000]
        return "refused" if lines and not too_long else f"a refusal of {len(lines)} lines: {too_long}"
    except Hang as error:
        return f"a hang: {error}"
    except BaseException:
        return traceback.format_exc()
    return "trainable"


def fuzz(seed: int, count: int, folder: Path) -> Counter[str]:
    """How many were refused, how many can be trained, and how many failed; these are printed."""
    seen: Counter[str] = Counter()
    for number in range(count):
        content, overrides = mutated(random.Random(f"{seed} {number}"))
        found = outcome(content, overrides, folder)
        if found not in ("refused", "trainable"):
            print(f"recipe {number} of seed {seed}, --set {str(overrides)[:200]}:\n{found}", flush=True)
            found = "failed"
        seen[found] += 1
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    options = parser.parse_args()
    networks.machine_memory = lambda: PRETENDED
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CACHE_HOME"] = f"{name}/cache"
        os.chdir(name)
        seen = fuzz(options.seed, options.count, Path(name))
    print(dict(seen))
    return 1 if seen["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
