"""`ganforge translate`: pictures on the disk to pictures in a folder, by any number of processes."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganforge.data.picture_file import read_picture_file
from ganforge.data.pictures import BadPicture, Fit, open_picture, to_pixels
from ganforge.data.walk import find_pictures
from ganforge.errors import GanforgeError
from ganforge.files import replaced, write_text
from ganforge.game.ways import WayName
from ganforge.grid import side_by_side, single, to_uint8
from ganforge.parallel.launch import check_launch
from ganforge.sampling.draw import pick_device
from ganforge.sampling.translate import Tiles, Translator
from ganforge.saved.generator_file import find_generator, load_generator
from ganforge.wording import counted

Progress = Callable[[int, int], None]

PLAN = "translation.json"
"""In the folder of the results: by what they were made, so that a second start goes on and no other one mixes in."""


def translate_files(
    run: str | Path,
    pictures: Sequence[Path],
    out: Path,
    *,
    way: WayName = "there",
    tiles: Tiles = Tiles(),
    size: int = 0,
    side: bool = False,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> str:
    """Translate pictures into PNGs of the same names; this process's share of them, if a launcher started several.

    Pictures keep their proportions and have any size. What is finished already is left as it is, so the same command
    goes on after a kill.

    Args:
        run: run folder, checkpoint, generator file, or `owner/name` on the hub.
        pictures: files and folders; those below a folder keep their place in it.
        out: folder of the results.
        way: of a run with two ways.
        tiles: how large pictures are cut.
        size: length of the shorter side that pictures are first brought to; 0 for their own.
        side: put each source to the left of its result.
        progress: called with this process's finished and planned pictures.
        say: called with warnings.

    Returns:
        a line that says what was written.

    Raises:
        CheckpointError: there is no such generator.
        GanforgeError: there are no pictures, two would have one name, one cannot be read, or `out` cannot be written.
    """
    check_launch()
    rank, local_rank, world_size = (
        int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("LOCAL_RANK", 0), ("WORLD_SIZE", 1))
    )
    file = find_generator(run)
    translator = Translator(load_generator(file, pick_device(local_rank), way=way), tiles)
    if translator.source.channels not in (1, 3):
        raise GanforgeError(f"{run}: translates {translator.source}; files are grey or RGB, so call it from Python")
    named = list(_named(pictures))
    if say is not None and rank == 0:
        for line in translator.warnings():
            say(f"warning: {line}")
    plan = {"generator": _digest(file), "way": way, "size": size, "side": side, **translator.tiles._asdict()}
    own = named[rank::world_size]
    made = 0
    try:
        _begin(out, plan)
        for done, (source, name) in enumerate(own):
            target = out / name
            if not target.exists():
                _translate(translator, source, target, size, side)
                made += 1
            if progress is not None:
                progress(done + 1, len(own))
    except OSError as error:
        raise GanforgeError(f"{out}: cannot be written: {error.strerror or error}") from error
    there = f"; {len(own) - made:,} were there already" if made < len(own) else ""
    of_rank = f"rank {rank} of {world_size}: " if world_size > 1 else ""
    return f"{of_rank}{counted(made, 'picture')} in {out}{there}"


def _named(pictures: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Each picture, and its result's name below the folder of the results.

    Raises:
        GanforgeError: there is no such file, or two would have one name.
    """
    taken: dict[Path, Path] = {}
    for given in pictures:
        if given.is_dir():
            found = [(given / name, Path(name)) for name in find_pictures(given).names]
        elif given.exists():
            found = [(given, Path(given.name))]
        else:
            raise GanforgeError(f"{given}: there is no such picture or folder")
        for source, name in found:
            name = name.with_suffix(".png")
            if name in taken:
                raise GanforgeError(
                    f"{source}: its result would have the name of that of {taken[name]}, {name}; translate them into "
                    "two folders"
                )
            taken[name] = source
            yield source, name


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _begin(out: Path, plan: dict[str, object]) -> None:
    """Make the folder, or see that it is one of this translation.

    Raises:
        GanforgeError: it holds something else.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / PLAN
    if path.exists():
        try:
            before = json.loads(path.read_text())
        except (OSError, ValueError):
            before = None
        if before != plan:
            raise GanforgeError(f"{out}: holds pictures of another generator, or of other options; give a new folder")
    elif any(child.name != PLAN and not child.name.startswith(".") for child in out.iterdir()) and not path.exists():
        raise GanforgeError(f"{out}: is not empty, and not a translation that could go on; give a new folder")
    else:
        write_text(path, json.dumps(plan, indent=2) + "\n")


def _translate(translator: Translator, source: Path, target: Path, size: int, side: bool) -> None:
    picture = read_picture(source, translator.source.channels, size)
    made = translator(picture)
    if side:
        made = side_by_side([picture, made])
    target.parent.mkdir(parents=True, exist_ok=True)
    with replaced(target) as temporary:
        single(to_uint8(made)[0].numpy()).save(temporary, format="PNG")


def read_picture(path: Path, channels: int, size: int = 0) -> Tensor:
    """A picture as `(1, channels, height, width)` in [-1, 1], of its own proportions.

    Args:
        path: of the file.
        channels: 1 or 3.
        size: length of the shorter side; 0 for its own.

    Raises:
        GanforgeError: it cannot be read.
    """
    try:
        pixels = to_pixels(open_picture(read_picture_file(path)), Fit(crop="none", channels=channels))
    except OSError as error:
        raise GanforgeError(f"{path}: cannot be read: {error.strerror or error}") from error
    except BadPicture as error:
        raise GanforgeError(f"{path}: {error}") from error
    if size and min(pixels.shape[:2]) != size:
        pixels = _resized(pixels, size)
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float().div_(127.5).sub_(1.0)


def _resized(pixels: np.ndarray, size: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = size / min(height, width)
    picture = single(pixels).resize(
        (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BICUBIC
    )
    resized = np.asarray(picture)
    return resized if resized.ndim == 3 else resized[..., None]
