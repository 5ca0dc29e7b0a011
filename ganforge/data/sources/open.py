"""From what a user types after `ganforge data pack` to a source of pictures."""

from pathlib import Path

from ganforge.data.sources.base import Source
from ganforge.errors import DataError

_TARS = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")


def open_source(text: str, *, size: int, cache_dir: Path, labels: bool = True, channels: int = 0) -> Source:
    """The source that `text` names.

    That is `digits`, a folder, a zip, tar, npy or npz, `torchvision:...`, `hf:...`, or urls of shards.

    Args:
        text: as typed.
        size: wanted size, for sources that are drawn at any size.
        cache_dir: where fetched shards go.
        labels: whether to take over class labels.
        channels: so many are wanted of arrays, see `ArraySource`; 0 for grey, RGB or RGBA.

    Raises:
        DataError: it does not exist or holds no pictures.
    """
    source = _open(text, size, cache_dir, labels, channels)
    if not labels:
        source.classes = ()
    return source


def _open(text: str, size: int, cache_dir: Path, labels: bool, channels: int) -> Source:
    path = Path(text).expanduser()
    if text == "digits":
        from ganforge.data.sources.arrays import DigitsSource

        return DigitsSource(size or 32)
    if text.startswith("torchvision:"):
        from ganforge.data.sources.torchvision import TorchvisionSource

        return TorchvisionSource(text)
    if text.startswith("hf:"):
        from ganforge.data.sources.huggingface import HuggingFaceSource

        return HuggingFaceSource(text)
    if path.is_dir():
        return _open_folder(path, cache_dir, labels)
    if path.is_file():
        return _open_file(path, cache_dir, labels, channels)
    if "://" in text or text.startswith("pipe:") or "{" in text or "*" in text:
        from ganforge.data.sources.shards import ShardsSource

        return ShardsSource(text, cache_dir, labels=labels)
    raise DataError(
        f"{text}: there is no such file or folder; a source is a folder, a zip, tar, npy or npz file, 'digits', "
        "'torchvision:NAME?root=...', 'hf:owner/name', or urls of shards"
    )


def _open_folder(path: Path, cache_dir: Path, labels: bool) -> Source:
    from ganforge.data.sources.folder import FolderSource
    from ganforge.data.sources.scientific import is_source_name
    from ganforge.data.sources.shards import ShardsSource

    entries = list(path.iterdir())
    has_tars = any(entry.suffix == ".tar" for entry in entries)
    if has_tars and not any(is_source_name(entry.name) for entry in entries):
        return ShardsSource(str(path), cache_dir, labels=labels)
    return FolderSource(path, labels=labels)


def _open_file(path: Path, cache_dir: Path, labels: bool, channels: int) -> Source:
    from ganforge.data.sources import archive
    from ganforge.data.sources.arrays import open_arrays

    name = path.name.lower()
    if name.endswith((".npy", ".npz")):
        return open_arrays(path, cache_dir, labels=labels, channels=channels)
    if name.endswith(".zip"):
        return archive.ZipSource(path, labels=labels)
    if name.endswith(_TARS):
        return archive.open_tar(path, cache_dir, labels=labels)
    raise DataError(f"{path}: is not a zip, tar, npy or npz file; give one of these or a folder of pictures")
