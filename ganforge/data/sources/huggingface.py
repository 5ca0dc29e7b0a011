"""Datasets of the Hugging Face hub, such as `hf:owner/name?split=train` (extra `hub`)."""

from typing import Any
from urllib.parse import parse_qsl

import numpy as np

from ganforge.arguments import argument
from ganforge.data.classes import label_classes
from ganforge.data.header import HEADER_BYTES
from ganforge.data.limits import PICTURE_BYTES, in_bytes
from ganforge.data.picture_file import read_picture_file
from ganforge.data.pictures import BadPicture
from ganforge.data.sources.base import Item, Source
from ganforge.errors import DataError

_ROWS = 256


class HuggingFaceSource(Source):
    """A dataset that the library `datasets` can load, from the hub or a local folder.

    Args:
        text: `hf:owner/name?split=train&config=NAME&image=COLUMN&label=COLUMN&revision=REV`.

    Raises:
        DataError: `datasets` is not installed, or the dataset has no column of pictures.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.name, _, query = text.removeprefix("hf:").partition("?")
        self.words = dict(parse_qsl(query, keep_blank_values=True))
        self._opened: Any = None
        self._rows: tuple[int, Any] | None = None
        self._numbers: list[int] | None = None
        dataset = self._dataset()
        self.image = self.words.get("image") or self._find_image(dataset)
        self.label = self.words.get("label") or next(
            (c for c in ("label", "labels", "class") if c in dataset.features), ""
        )
        self._count = len(dataset)
        self.fingerprint = str(dataset._fingerprint)
        self.classes = self._class_names(dataset)

    def _dataset(self) -> Any:
        if self._opened is not None:
            return self._opened
        try:
            import datasets
        except ImportError:
            raise DataError(f"{self.text}: needs the library datasets; pip install 'ganforge[hub]'") from None
        try:
            loaded = datasets.load_dataset(
                self.name,
                self.words.get("config"),
                split=self.words.get("split", "train"),
                revision=self.words.get("revision"),
            )
        except Exception as error:  # the library raises a dozen unrelated classes for "not found" and "no network"
            said = " ".join(str(error).split())[:300]
            raise DataError(f"{self.text}: cannot be loaded: {said}") from error
        for column, feature in loaded.features.items():
            if isinstance(feature, datasets.Image):
                loaded = loaded.cast_column(column, datasets.Image(decode=False))  # the bytes, untouched
        self._opened = loaded
        return loaded

    def _find_image(self, dataset: Any) -> str:
        import datasets

        for column, feature in dataset.features.items():
            if isinstance(feature, datasets.Image):
                return column
        raise DataError(f"{self.text}: has no column of pictures among {', '.join(dataset.features)}; say image=COLUMN")

    def _class_names(self, dataset: Any) -> tuple[str, ...]:
        names = getattr(dataset.features.get(self.label), "names", None) if self.label else None
        if names:
            return tuple(names)
        if not self.label or not str(getattr(dataset.features[self.label], "dtype", "")).startswith(("int", "uint")):
            return ()
        found = label_classes(
            [None if label is None else int(label) for label in dataset[self.label]], f"column {self.label}"
        )
        self.rules = (found.rule,)
        self._numbers = found.numbers
        return found.classes

    def __len__(self) -> int:
        return self._count

    def item(self, index: int) -> Item:
        row = self._dataset()[index]
        value = row[self.image]
        label = self._label(index, row) if self.classes else -1
        name = f"{self.name}[{index}]"
        if isinstance(value, dict):
            data = value.get("bytes")
            if data is None and value.get("path"):
                data = read_picture_file(value["path"])
            if data is None:
                raise BadPicture("is empty")
            if len(data) > PICTURE_BYTES:
                raise BadPicture(f"is {in_bytes(len(data))} large, and may have {in_bytes(PICTURE_BYTES)}; shrink it")
            return Item(data, label, name)
        return Item(np.asarray(value), label, name)

    def _label(self, index: int, row: dict[str, Any]) -> int:
        stored = row[self.label] if self._numbers is None else self._numbers[index]
        label = -1 if stored is None else int(stored)
        if label < 0:  # as in test sets whose labels are kept back
            raise BadPicture(f"has no label; {argument('labels', False)} packs it all the same")
        return label

    def start(self, index: int) -> bytes | np.ndarray:
        # Row by row, a dataset is read at a tenth of the speed.
        begin = index - index % _ROWS
        if self._rows is None or self._rows[0] != begin:
            stop = min(begin + _ROWS, self._count)
            self._rows = begin, self._dataset()[begin:stop][self.image]
        value = self._rows[1][index - begin]
        if isinstance(value, dict) and value.get("bytes") is not None:
            return value["bytes"][:HEADER_BYTES]
        return super().start(index)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_opened": None, "_rows": None}
