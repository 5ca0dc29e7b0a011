"""Real handwritten digits that need no download."""

from pathlib import Path
from typing import Annotated, Literal

from filelock import FileLock
from pydantic import Field

from ganforge.data.shards.dataset import ShardDataset
from ganforge.data.shards.registered import open_folder
from ganforge.registry import register


@register.dataset("digits")
def digits(
    cache_dir: Path,
    *,
    size: Annotated[int, Field(ge=8, le=256)] = 32,
    part: Literal["all", "train", "held_out", "train_first", "train_second"] = "all",
    limit: Annotated[int, Field(ge=10, le=10_000)] | None = None,
    inverted: bool = False,
) -> ShardDataset:
    """The 1,797 handwritten digits that come with scikit-learn (extra `demo`), grey, ten classes.

    The 8x8 pictures are enlarged with bicubic interpolation and packed into the cache folder at first
    use (E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998).

    Args:
        size: height and width of the pictures.
        part: `all`, or one of two halves that share no digit and are always the same: `train` (899) and `held_out`
            (898), to judge what was learnt from the first by the second. `train_first` (449) and `train_second` (450)
            are halves of `train`, for two domains that share no digit.
        limit: number of pictures, the first of a random order that is always the same; to see what few pictures do.
        inverted: dark on light: a second domain, whose right translation is known.
    """
    chosen = "" if part == "all" else f"-{part}"
    chosen += ("" if limit is None else f"-{limit}") + ("-inverted" if inverted else "")
    folder = cache_dir / f"digits-{size}{chosen}"
    if not folder.exists():  # what is there needs no lock, which another user's cache may not give
        _make(folder, size, part, limit, inverted)
    return open_folder(folder)


def _make(folder: Path, size: int, part: str, limit: int | None, inverted: bool) -> None:
    from ganforge.data.pack import pack
    from ganforge.data.plan import PackOptions
    from ganforge.data.sources.arrays import DigitsSource

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(folder) + ".use.lock"):  # ranks that start together: one packs, the others wait
        if not folder.exists():
            source = DigitsSource(size, part, limit, inverted=inverted)
            pack(source, folder, PackOptions(size=(size, size), crop="none", codec="raw", workers=1))
