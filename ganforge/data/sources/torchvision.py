"""torchvision's datasets, such as `torchvision:CIFAR10?root=data&split=train&download=1`."""

import contextlib
import hashlib
import os
import tempfile
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from PIL import Image, ImageFile

from ganforge.data.picture_file import read_picture_file
from ganforge.data.pictures import BadPicture, open_picture, too_large
from ganforge.data.sources.base import Item, Source
from ganforge.errors import DataError

_TRAIN_FLAG = ("MNIST", "FashionMNIST", "KMNIST", "EMNIST", "QMNIST", "CIFAR10", "CIFAR100")
_SPLIT = ("STL10", "CelebA", "SVHN")
_CLASSES = ("LSUN",)
KNOWN = tuple(sorted((*_TRAIN_FLAG, *_SPLIT, *_CLASSES)))


class TorchvisionSource(Source):
    """A dataset of torchvision, opened from its files in `root`.

    Args:
        text: `torchvision:NAME?root=FOLDER&split=train&download=0`; LSUN takes `classes=bedroom_train`,
            CelebA can be asked for `target=NUMBER OF ATTRIBUTE`, other words go to the dataset as they are.

    Raises:
        DataError: torchvision has no such dataset, or its files are not in `root`.
    """

    is_uniform = True  # torchvision gives them all as grey or all as RGB

    def __init__(self, text: str) -> None:
        self.text = text
        name, _, query = text.removeprefix("torchvision:").partition("?")
        self.name = name
        self.words = dict(parse_qsl(query, keep_blank_values=True))
        if name not in KNOWN:
            raise DataError(f"{text}: ganforge knows torchvision's {', '.join(KNOWN)}")
        if "root" not in self.words:
            raise DataError(f"{text}: say where the files are, such as torchvision:{name}?root=data")
        self._opened: Any = None
        dataset = self._dataset()
        self._count = len(dataset)
        self.classes = self._class_names(dataset)
        self.fingerprint = hashlib.sha256(f"{text} {self._count}".encode()).hexdigest()

    def _dataset(self) -> Any:
        if self._opened is not None:
            return self._opened
        from torchvision import datasets

        words = {key: value for key, value in self.words.items() if key not in ("root", "split", "target", "classes")}
        arguments: dict[str, Any] = dict(words)
        split = self.words.get("split", "train")
        if self.name in _TRAIN_FLAG:
            if split not in ("train", "test"):
                raise DataError(f"{self.text}: split is 'train' or 'test'")
            arguments["train"] = split == "train"
        elif self.name in _CLASSES:
            arguments["classes"] = self.words.get("classes", split).split(",")
        else:
            arguments["split"] = split
        if "download" in arguments:
            arguments["download"] = arguments["download"] in ("1", "true", "yes")
        try:
            root = os.path.abspath(os.path.expanduser(self.words["root"]))
            # LSUN leaves a `_cache_` file in the working folder, wherever that is: give it one of its own.
            with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
                self._opened = getattr(datasets, self.name)(root, **arguments)
        except (RuntimeError, OSError, ValueError, TypeError, ImportError) as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{self.text}: {said}; add download=1 to fetch it") from error
        return self._opened

    def _class_names(self, dataset: Any) -> tuple[str, ...]:
        if self.name == "CelebA":
            return ("without", "with") if "target" in self.words else ()
        names = getattr(dataset, "classes", None)
        if self.name in _CLASSES:
            return tuple(names) if names is not None and len(names) > 1 else ()
        if names is None:  # SVHN
            names = [str(number) for number in range(10)]
        if self.name == "STL10" and any(int(label) < 0 for label in dataset.labels):
            return ()
        return tuple(str(name) for name in names)

    def __len__(self) -> int:
        return self._count

    def item(self, index: int) -> Item:
        try:
            picture, target = self._dataset()[index]
            if isinstance(picture, ImageFile.ImageFile):  # CelebA's, which is not decoded yet: as any file first
                picture = open_picture(read_picture_file(os.fsdecode(picture.filename)))
            pixels = np.asarray(picture)
        except Image.DecompressionBombError as error:
            raise BadPicture(too_large(error)) from None
        except (OSError, ValueError, SyntaxError) as error:
            raise BadPicture(f"cannot be read: {error}") from None
        if self.name == "CelebA":
            label = int(target[int(self.words["target"])]) if self.classes else -1
        else:
            label = int(target) if self.classes else -1
        return Item(pixels, label, f"{self.name}[{index}]")

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_opened": None}
