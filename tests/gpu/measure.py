"""What only a GPU can show, as markdown on stdout. `run.sh` beside this starts it; `--dry` tries its code without one.

A section that fails says so in its place and the others go on; the exit code then is 1.
"""

import argparse
import json
import math
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from classic import ClassicLoop
from contest import OurLoop, compete, contest_recipe
from host_overhead import OnAccelerate
from safetensors.torch import load_file
from torch.autograd import DeviceType  # pyright: ignore[reportPrivateImportUsage]  # not in its list
from torch.profiler import ProfilerActivity, profile

from ganforge.bench.ceilings import measure_ceilings
from ganforge.bench.train import measure
from ganforge.building.performance import choose_kernels
from ganforge.game.latents import latents
from ganforge.recipe import parse, resolve

FLOOR_BYTES = 10.5e6
"""Bytes a picture that a step at 64x64 moves at least, in bf16 and perfectly fused."""

CLASSIC = "classic loop, as shipped"
ON_ACCELERATE = "Accelerate's plain loop, TF32 convolutions"
AS_IT_COMES = "as it comes (TF32 convolutions)"
GRAPHED = {"cuda_graphs": True}
COMPILED = {**GRAPHED, "compile": True}
VARIANTS: dict[str, dict[str, Any]] = {
    "fp32": {"performance": {"tf32": "none"}},
    AS_IT_COMES: {},
    "TF32 everywhere": {"performance": {"tf32": "all"}},
    "TF32, NCHW": {"performance": {"channels_last": False}},
    "bf16": {"training": {"precision": "bf16"}},
    "bf16, reuse_fakes": {"training": {"precision": "bf16"}, "performance": {"reuse_fakes": True}},
    "TF32, graphed": {"performance": GRAPHED},
    "bf16, graphed": {"training": {"precision": "bf16"}, "performance": GRAPHED},
    "bf16, compiled": {"training": {"precision": "bf16"}, "performance": {"compile": True}},
    "bf16, compiled, graphed": {"training": {"precision": "bf16"}, "performance": COMPILED},
    "TF32, compiled, graphed": {"performance": COMPILED},
}


class Bench:
    """Device and sizes; tiny ones in a dry run."""

    def __init__(self, dry: bool) -> None:
        self.dry = dry
        self.has_gpu = torch.cuda.is_available()
        self.device = torch.device("cuda" if self.has_gpu else "cpu")
        self.batches: tuple[int, ...] = (4,) if dry else (128, 1024)
        self.rounds, self.steps, self.warmup = (2, 1, 1) if dry else (9, 20, 10)
        self.recipes: tuple[str, ...] = ("cifar32-sngan",) if dry else tuple(RECIPES)
        self.width = {"generator": {"width": 4}, "discriminator": {"width": 4}} if dry else {}

    def loop(self, batch: int, variant: str) -> OurLoop:
        recipe = contest_recipe(batch, **{**VARIANTS[variant], **self.width})
        choose_kernels(recipe.performance)
        return OurLoop(recipe)

    def forget(self) -> None:
        torch.compiler.reset()
        if self.has_gpu:
            torch.cuda.empty_cache()


def environment(bench: Bench) -> Iterator[str]:
    yield f"- Python {platform.python_version()}, torch {torch.__version__}"
    if bench.has_gpu:
        properties = torch.cuda.get_device_properties(bench.device)
        capability = f"{properties.major}.{properties.minor}"
        yield f"- {properties.name}, {properties.total_memory / 2**30:.0f} GiB, compute {capability}"
    else:
        yield "- no GPU: this is a dry run on a CPU"
    half, full = torch.bfloat16, torch.float32
    for name, dtype, tf32 in (("fp32", full, False), ("TF32", full, True), ("bf16", half, True)):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        found = measure_ceilings(bench.device, dtype)
        yield f"- {name}: matrix product {found.flops / 1e12:,.2f} TFLOP/s; copy {found.copy_bytes / 1e9:,.0f} GB/s"


def speed(bench: Bench) -> Iterator[str]:
    eager = [name for name, changes in VARIANTS.items() if not _is_compiled(changes)]
    for batch in bench.batches:
        yield from _speed_of(bench, batch, eager)


def speed_compiled(bench: Bench) -> Iterator[str]:
    if bench.dry:
        yield "Compiling takes minutes on a CPU; not run."
        return
    for batch in bench.batches:
        yield from _speed_of(bench, batch, ["bf16", *(name for name in VARIANTS if _is_compiled(VARIANTS[name]))])


def _is_compiled(changes: dict[str, Any]) -> bool:
    return changes.get("performance", {}).get("compile", False)


def _speed_of(bench: Bench, batch: int, variants: list[str]) -> Iterator[str]:
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False
    classic = ClassicLoop(batch, bench.device, 4 if bench.dry else 64)
    entries: dict[str, Callable[[], object]] = {CLASSIC: classic.step}

    def as_shipped() -> None:
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False

    prepare: dict[str, Callable[[], object]] = {CLASSIC: as_shipped}
    loops: dict[str, OurLoop] = {}
    for variant in variants:
        loop = bench.loop(batch, variant)
        loops[variant] = loop
        entries[variant] = loop.step
        prepare[variant] = partial(choose_kernels, loop.run.recipe.performance)
        if variant == AS_IT_COMES:  # while Accelerate's state still has this precision
            entries[ON_ACCELERATE], prepare[ON_ACCELERATE] = OnAccelerate(loop.run).step, prepare[variant]
    results = compete(
        entries, rounds=bench.rounds, steps=bench.steps, warmup=bench.warmup, device=bench.device, prepare=prepare
    )
    copy = measure_ceilings(bench.device, torch.bfloat16).copy_bytes
    peaks = {name: _peak_memory(bench, prepare[name], step) for name, step in entries.items()}
    flops = measure(loops["bf16"].run, steps=1, warmup=1).of_step("flops")
    product = measure_ceilings(bench.device, torch.bfloat16).flops
    yield ""
    yield f"### Batch {batch}: {bench.rounds} rounds of {bench.steps} steps, interleaved"
    yield ""
    yield f"Byte floor: {FLOOR_BYTES / 1e6:g} MB a picture at the copy's speed, {copy / FLOOR_BYTES:,.0f} images/s."
    yield f"FLOP peak: the bf16 product's; a picture takes {flops / batch / 1e9:.3f} GFLOP (counted, fresh fakes)."
    yield "Peak MiB: what a step needs beyond what lies there between steps."
    yield ""
    yield "| loop | ms a step | images/s | times classic (quartiles) | of byte floor | of FLOP peak | peak MiB |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name, result in results.items():
        middle, low, high = result.ratio_to(results[CLASSIC])
        rate = batch / result.median
        yield (
            f"| {name} | {result.median * 1e3:,.3f} | {rate:,.0f} | {middle:.2f} ({low:.2f} to {high:.2f}) "
            f"| {rate * FLOOR_BYTES / copy:.1%} | {rate * flops / batch / product:.1%} | {peaks[name] / 2**20:,.0f} |"
        )
    bench.forget()


def _peak_memory(bench: Bench, prepare: Callable[[], object], step: Callable[[], object]) -> int:
    """Bytes that one step has at most beyond what lies there between steps."""
    if not bench.has_gpu:
        return 0
    prepare()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def memory(bench: Bench) -> Iterator[str]:
    yield "| variant | batch | peak GiB of a run by itself |"
    yield "|---|---:|---:|"
    for batch in bench.batches:
        for variant in (AS_IT_COMES, "bf16", "bf16, reuse_fakes"):
            bench.forget()
            if bench.has_gpu:
                torch.cuda.reset_peak_memory_stats()
            loop = bench.loop(batch, variant)
            report = measure(loop.run, steps=2, warmup=1)
            yield f"| {variant} | {batch} | {report.peak_memory / 2**30:.2f} |"
            del loop


def equality_with_the_cpu(bench: Bench) -> Iterator[str]:
    device = _losses(bench)
    host = _losses(bench, ACCELERATE_USE_CPU="true", CUDA_VISIBLE_DEVICES="")
    yield from _compare("CPU", host, device["device"], device, first=1e-3, last=0.1)


def ddp_of_one_process(bench: Bench) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    rank = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
    if not bench.has_gpu:
        rank["ACCELERATE_USE_CPU"] = "true"
    with_ddp = _losses(bench, **rank, MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    without = _losses(bench)
    yield f"Wrapped in DDP: {'yes' if with_ddp['is_ddp'] else 'no, accelerate leaves one process bare'}."
    yield ""
    yield from _compare("no DDP", without, "DDP", with_ddp, first=1e-5, last=1e-2)
    yield ""
    yield f"{without['milliseconds']:.2f} ms a step without, {with_ddp['milliseconds']:.2f} ms with."


def fp16_scalers(bench: Bench) -> Iterator[str]:
    if not bench.has_gpu:
        yield "fp16 needs a GPU; not run."
        return
    half = _losses(bench, "--precision", "fp16")
    full = _losses(bench)
    yield f"Scales after {2 * len(half['losses'])} steps: {half['scales']} (each player its own)."
    yield ""
    yield from _compare("fp32", full, "fp16", half, first=2e-2, last=0.5)
    assert all(scale and math.isfinite(scale) for scale in half["scales"].values()), "a player has no scaler"


def graphs_compute_the_same(bench: Bench) -> Iterator[str]:
    yield from _compare("played", _losses(bench), "recorded", _losses(bench, "--graphs"), first=0, last=0)


def _losses(bench: Bench, *arguments: str, **environment: str) -> dict[str, Any]:
    small = ("--steps", "3", "--batch", "4", "--width", "4") if bench.dry else ()
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("losses.py")), *small, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout.strip().splitlines()[-1])


def _compare(
    one: str, ones: dict[str, Any], other: str, others: dict[str, Any], *, first: float, last: float
) -> Iterator[str]:
    """Both players' losses step by step; raises if the first or the last differ by more than that share."""
    yield f"| step | {one}: D, G | {other}: D, G | largest relative difference |"
    yield "|---:|---|---|---:|"
    pairs = list(zip(ones["losses"], others["losses"], strict=True))
    differences = [max(abs(a - b) / max(abs(a), 1e-6) for a, b in zip(*pair, strict=True)) for pair in pairs]
    for step in sorted({1, 2, 5, 10, len(pairs)} & set(range(1, len(pairs) + 1))):
        (mine, theirs), difference = pairs[step - 1], differences[step - 1]
        yield f"| {step} | {mine[0]:.6f}, {mine[1]:.6f} | {theirs[0]:.6f}, {theirs[1]:.6f} | {difference:.1e} |"
    assert differences[0] <= first, f"step 1 differs by {differences[0]:.1e}, more than {first:g}"
    assert differences[-1] <= last, f"step {len(pairs)} differs by {differences[-1]:.1e}, more than {last:g}"


def no_host_synchronisation(bench: Bench) -> Iterator[str]:
    if not bench.has_gpu:
        yield "Only CUDA can tell; not run."
        return
    cases: dict[str, dict[str, Any]] = {
        "as it comes": {},
        "bf16": {"training": {"precision": "bf16"}},
        "fp16": {"training": {"precision": "fp16"}},
        "r1": {"penalties": [{"name": "r1"}]},
        "graphs": {"performance": GRAPHED},
    }
    for name, changes in cases.items():
        loop = OurLoop(contest_recipe(bench.batches[0], **{**changes, **bench.width}))
        for _ in range(6):
            loop.step()
        torch.cuda.set_sync_debug_mode("error")
        try:
            loop.step()
            yield f"- {name}: none between log lines"
        finally:
            torch.cuda.set_sync_debug_mode("default")


def latents_of_the_gpu(bench: Bench) -> Iterator[str]:
    for distribution in ("normal", "uniform"):
        here = latents(0, "generator", 3, range(1024), 100, distribution, bench.device).cpu()
        there = latents(0, "generator", 3, range(1024), 100, distribution, "cpu")
        difference = (here - there).abs().max().item()
        assert difference < 1e-6, f"{distribution} latents differ by {difference:.1e}"
        share = (here != there).float().mean().item()
        yield f"- {distribution}: largest difference to the CPU's {difference:.1e}, in {share:.2%} of values any"


def kernels(bench: Bench) -> Iterator[str]:
    variants = ["bf16"] if bench.dry else [AS_IT_COMES, "bf16"]
    for variant in variants:
        bench.forget()
        loop = bench.loop(bench.batches[0], variant)
        for _ in range(bench.warmup):
            loop.step()
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if bench.has_gpu else [])]
        with profile(activities=activities) as profiled:
            loop.step()
            if bench.has_gpu:
                torch.cuda.synchronize()
        name = "self_device_time_total" if bench.has_gpu else "self_cpu_time_total"
        rows = [event for event in profiled.key_averages() if getattr(event, name) > 0 and "#" not in event.key]
        if bench.has_gpu:
            rows = [event for event in rows if event.device_type != DeviceType.CPU]
        rows.sort(key=lambda event: -getattr(event, name))
        total = sum(getattr(event, name) for event in rows)
        yield ""
        count = sum(event.count for event in rows)
        yield f"### {variant}, batch {bench.batches[0]}: {total / 1e3:.2f} ms in {count} kernels"
        yield ""
        yield "| kernel | calls | us | share |"
        yield "|---|---:|---:|---:|"
        for event in rows[:40]:
            time = getattr(event, name)
            label = event.key.replace("|", "\\|")[:110]
            yield f"| `{label}` | {event.count} | {time:,.0f} | {time / total:.1%} |"


def host_overhead(bench: Bench) -> Iterator[str]:
    """Wall time a step with networks so small that the host decides."""
    script = str(Path(__file__).parents[1] / "bench/host_overhead.py")
    small = ("--rounds", "2", "--steps", "2") if bench.dry else ("--rounds", "7", "--steps", "100")
    yield subprocess.run(
        [sys.executable, script, *small], capture_output=True, text=True, timeout=300, check=True
    ).stdout


RECIPES = {
    "cifar32-sngan": (32, 3),
    "horse2zebra256-cyclegan": (256, 3),
    "imagenet64-sagan": (64, 3),
    "ffhq256-stylegan2": (256, 3),
    "celeba64-r3gan": (64, 3),
    "imagenet128-biggan": (128, 3),
}
"""Recipes to step, and side and channels of the random pictures that stand in for their data."""


def recipes_stepped(bench: Bench) -> Iterator[str]:
    """Each with its own batch and precision; `bench train`'s figures."""
    yield "| recipe | batch | precision | ms a step | images/s | peak GiB | of FLOP peak | of the copy's speed | note |"
    yield "|---|---:|---|---:|---:|---:|---:|---:|---|"
    for name in bench.recipes:
        for graphs in (False, True):
            yield _recipe_stepped(bench, name, graphs)


def _recipe_stepped(bench: Bench, name: str, graphs: bool) -> str:
    tables = parse(Path(__file__).parents[2] / f"recipes/{name}.toml")
    side, channels = RECIPES[name]
    tables["plugins"] = [*tables.get("plugins", []), "ganforge.testing.pictures"]
    tables["data"] = {"name": "testing_pictures", "size": side, "channels": channels, "samples": 512}
    if "domain" in tables:
        tables["domain"] = tables["data"]
    tables["training"]["batch_size"] = min(tables["training"]["batch_size"], 2 if bench.dry else 256)
    tables["performance"] = {**tables.get("performance", {}), "cuda_graphs": graphs}
    name = f"{name}, graphed" if graphs else name
    bench.forget()
    try:
        run = OurLoop(resolve(tables)).run
        lines = [line for line in run.describe_performance() if "graphs" in line]
        report = measure(run, steps=1 if bench.dry else 4, warmup=2 + 4 * graphs)
        lines += [] if run.recorded is None else run.recorded.reasons
    except Exception as error:  # one recipe's trouble must not hide the others'
        traceback.print_exc()
        return f"| {name} | failed: {type(error).__name__}: {str(error).splitlines()[0][:150]} |"
    run.close()
    return (
        f"| {name} | {report.batch} | {report.precision} | {1e3 * report.seconds:,.1f} "
        f"| {report.images_per_second:,.0f} | {report.peak_memory / 2**30:.2f} | {report.flops_share:.1%} "
        f"| {report.traffic_share:.0%} | {'; '.join(lines)} |"
    )


def a_run_resumed(bench: Bench) -> Iterator[str]:
    """`ganforge train digits32` with its pictures and evaluation, and its second half once more from a checkpoint."""
    steps = 4 if bench.dry else 400
    with tempfile.TemporaryDirectory() as folder:
        whole = _train(folder, steps)
        newest = next(Path(folder).rglob(f"step-{steps:08d}"))
        one = load_file(newest / "generator.safetensors")
        shutil.rmtree(newest)
        half = _train(folder, steps)
        other = load_file(newest / "generator.safetensors")
    yield f"{steps} steps with pictures and evaluations took {whole:.1f} s, start included; the last half {half:.1f} s."
    differences = [(one[key].double() - other[key].double()).abs().max().item() for key in one]
    equal = sum(difference == 0 for difference in differences)
    yield f"Of G's {len(one)} tensors {equal} are equal bit for bit; largest difference {max(differences):.1e}."


def _train(folder: str, steps: int) -> float:
    settings = (f"output={json.dumps(folder)}", f"training.steps={steps}", f"checkpoint.every={steps // 2}")
    command = [sys.executable, "-m", "ganforge", "train", "digits32", "--set", f"evaluation.every={steps // 2}"]
    command += ["--set", "performance.deterministic=true", *(part for item in settings for part in ("--set", item))]
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr).strip()[-600:])
    return time.perf_counter() - begin


SECTIONS: dict[str, Callable[[Bench], Iterator[str]]] = {
    section.__name__: section
    for section in (
        environment,
        latents_of_the_gpu,
        equality_with_the_cpu,
        ddp_of_one_process,
        fp16_scalers,
        graphs_compute_the_same,
        no_host_synchronisation,
        speed,
        host_overhead,
        a_run_resumed,
        memory,
        kernels,
        recipes_stepped,
        speed_compiled,
    )
}


@contextmanager
def _told(name: str, failed: list[str]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # one section's trouble must not cost the others their turn on a borrowed GPU
        failed.append(name)
        print(f"\n**failed:** {type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}")
        traceback.print_exc()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry", action="store_true", help="tiny sizes: tries the code, its figures mean nothing")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), help="some sections, in this order")
    parser.add_argument("--recipes", nargs="+", choices=list(RECIPES), help="instead of all that are stepped")
    parser.add_argument("--batches", nargs="+", type=int, help="instead of 128 and 1024")
    options = parser.parse_args()
    bench = Bench(options.dry)
    bench.batches = tuple(options.batches or bench.batches)
    bench.recipes = tuple(options.recipes or bench.recipes)
    if not bench.has_gpu and not bench.dry:
        print("no GPU here; --dry tries the code", file=sys.stderr)
        return 2
    failed: list[str] = []
    print("# Measured on a GPU" if not bench.dry else "# Dry run: these figures mean nothing")
    for name in options.only or SECTIONS:
        print(f"\n## {name.replace('_', ' ').capitalize()}\n")
        begin = time.perf_counter()
        with _told(name, failed):
            for line in SECTIONS[name](bench):
                print(line, flush=True)
        print(f"\n(section took {time.perf_counter() - begin:.0f} s)")
    print(f"\n{'All sections passed.' if not failed else 'Failed: ' + ', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
