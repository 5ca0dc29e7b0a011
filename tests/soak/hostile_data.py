"""Give hostile data files to the commands that read them, and see that each is read or refused in a line.

    python tests/soak/hostile_data.py --seed 0 --count 100

Every file goes to one command in a process of its own, which may take 300 MB beside what the program itself needs,
and 5 seconds. It must end with 0, or with 2 and one or two lines; no traceback, no hang, and no file outside of the
folders that it was given. The files are made by `hostile_files.py`, `hostile_arrays.py` and `hostile_folders.py`.
"""

import argparse
import contextlib
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parent))

import hostile_folders  # noqa: F401 - its builders
import torch
import webdataset.tariterators  # noqa: F401 - brings torch
from hostile_files import BUILDERS, Build

from ganforge.bench import data as benchmark
from ganforge.cli.main import main
from ganforge.data import contactsheet, export, pack, stream, verify
from ganforge.data.batches import streamed
from ganforge.data.batches.source import RankSlice
from ganforge.data.shards import registered
from ganforge.data.sources import archive
from ganforge.data.sources import open as open_source
from ganforge.data.sources import shards as shard_source
from ganforge.errors import DataError

# What the commands import, so that each process begins with it.
_LOADED = (
    benchmark,
    contactsheet,
    export,
    pack,
    stream,
    streamed,
    registered,
    verify,
    archive,
    open_source,
    shard_source,
)
_MORE = {"pack": ["out", "--workers", "1"], "export": ["out"], "inspect": ["--sheet", "sheet.png"]}
MEMORY_BYTES = 300_000_000
SECONDS = 5.0
"""Of computing."""
_HANG = 6


class Verdict(NamedTuple):
    """What came of one file."""

    name: str
    command: str
    code: int
    said: str
    memory_bytes: int
    seconds: float
    fault: str


def cases(seed: int, count: int) -> list[tuple[int, Build, str]]:
    """Every kind in turn, each with a seed of its own and one of the commands that read it."""
    found = []
    for number in range(count):
        build, commands = BUILDERS[number % len(BUILDERS)]
        rng = random.Random(f"{seed}-{number}")
        found.append((number, build, rng.choice(commands)))
    return found


def try_one(seed: int, number: int, build: Build, command: str, folder: Path) -> Verdict:
    """Make a file, give it to a command, and judge."""
    made, work = folder / "made", folder / "work"
    made.mkdir(parents=True)
    work.mkdir()
    path = build(made, random.Random(f"{seed}-{number}-file"))
    before = _files(made)
    child = os.fork()
    if child == 0:
        _run(command, path, work)
    status, usage = _wait(child)
    seconds = usage.ru_utime + usage.ru_stime  # the machine may be busy with other things
    said = (work / "stderr").read_text(errors="replace")
    code = os.waitstatus_to_exitcode(status)
    memory = usage.ru_maxrss * 1024 - int((work / "begin").read_text())
    fault = _fault(code, said, memory, seconds)
    if not fault and _files(made) != before:
        fault = "a file was written beside the source"
    return Verdict(build.__name__, command, code, said, memory, seconds, fault)


def _files(folder: Path) -> list[Path]:
    """All but the indexes, which `data index` writes beside tars."""
    return sorted(path for path in folder.rglob("*") if path.suffix != ".idx")


def _fault(code: int, said: str, memory: int, seconds: float) -> str:
    if code == -signal.SIGKILL:
        return f"hung, after {seconds:.1f} seconds of computing"
    if seconds > SECONDS:
        return f"took {seconds:.1f} seconds"
    if "Traceback" in said or code not in (0, 2):
        return f"ended with {code} and a traceback"
    if memory > MEMORY_BYTES:
        return f"took {memory / 1e6:.0f} MB"
    lines = [line for line in said.splitlines() if not line.startswith("warning:")]
    last = next((place for place, line in enumerate(lines) if line.startswith("ganforge: ")), len(lines))
    if code == 2 and not 1 <= len(lines) - last <= 2:
        return f"was refused in {len(lines) - last} lines"
    if any(len(line) > 1200 for line in lines):
        return "was refused in a line without end"
    return ""


def _wait(child: int) -> tuple[int, resource.struct_rusage]:
    deadline = time.monotonic() + _HANG * SECONDS
    while time.monotonic() < deadline:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            return status, usage
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    return status, usage


def _run(command: str, path: Path, work: Path) -> None:
    """In the child: what `ganforge data COMMAND` does, with its limits; never returns."""
    code = 70
    try:
        os.chdir(work)
        Path("begin").write_text(str(_kilobytes("VmRSS") * 1024))
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(work / name, os.O_WRONLY | os.O_CREAT), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        # Of private memory: mapping a large file takes none.
        limit = _kilobytes("VmData") * 1024 + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        if command == "stream":
            code = _stream(path, work)
        else:
            cache = [] if command == "index" else ["--cache-dir", str(work / "cache")]
            sys.argv = ["ganforge", "data", command, str(path), *_MORE.get(command, []), *cache]
            main()
            code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _stream(path: Path, work: Path) -> int:
    """Two batches by the stock pipeline."""
    try:
        dataset = registered.shards(work / "cache", path=str(path), stream=True)
        source = streamed.StreamedSource(dataset, RankSlice(2), torch.device("cpu"), seed=0, max_corrupt=0.5)
        rows = source._decoded()
        for _ in range(4):
            next(rows)
        source.close()
    except DataError as error:
        print(f"ganforge: {error}", file=sys.stderr)
        return 2
    return 0


def _kilobytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise AssertionError(field)


def try_all(seed: int, count: int, verbose: bool = False) -> list[Verdict]:
    """The verdicts on `count` files."""
    verdicts = []
    for number, build, command in cases(seed, count):
        folder = Path(tempfile.mkdtemp(prefix="hostile-"))
        try:
            verdict = try_one(seed, number, build, command, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        verdicts.append(verdict)
        if verbose or verdict.fault:
            said = (verdict.said.strip().splitlines() or [""])[-1]
            print(
                f"{number:4} {verdict.name} {verdict.command}: {verdict.fault or 'good'}; code {verdict.code}, "
                f"{verdict.memory_bytes / 1e6:.0f} MB, {verdict.seconds:.1f} s: {said[:300]}"
            )
    return verdicts


def _main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--verbose", action="store_true", help="a line a file, and not only the faults")
    options = parser.parse_args()
    verdicts = try_all(options.seed, options.count, options.verbose)
    faults = [verdict for verdict in verdicts if verdict.fault]
    refused = sum(verdict.code == 2 for verdict in verdicts)
    print(
        f"{len(verdicts)} hostile files of {len({verdict.name for verdict in verdicts})} kinds: {refused} refused, "
        f"{sum(verdict.code == 0 for verdict in verdicts)} read, {len(faults)} faults; at most "
        f"{max(verdict.memory_bytes for verdict in verdicts) / 1e6:.0f} MB and "
        f"{max(verdict.seconds for verdict in verdicts):.1f} s"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(_main())
