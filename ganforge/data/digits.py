"""Real handwritten digits that need no download."""

from pathlib import Path
from typing import Annotated

from filelock import FileLock
from pydantic import Field

from ganforge.data.sharddataset import ShardDataset
from ganforge.data.shards import open_folder
from ganforge.registry import register


@register.dataset("digits")
def digits(cache_dir: Path, *, size: Annotated[int, Field(ge=8, le=256)] = 32) -> ShardDataset:
    """The 1,797 handwritten digits that come with scikit-learn (extra `demo`), grey, ten classes.

    The 8x8 pictures are enlarged with bicubic interpolation and packed into the cache folder at first
    use (E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998).

    Args:
        size: height and width of the pictures.
    """
    folder = cache_dir / f"digits-{size}"
    cache_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(str(folder) + ".use.lock"):  # ranks that start together: one packs, the others wait
        if not folder.exists():
            from ganforge.data.pack import pack
            from ganforge.data.plan import PackOptions
            from ganforge.data.sources.arrays import DigitsSource

            pack(DigitsSource(size), folder, PackOptions(size=(size, size), crop="none", codec="raw", workers=1))
    return open_folder(folder)
