"""Plain text as training data: what masked and causal language modelling have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from finesweep.config.errors import UserError
from finesweep.config.fields import component
from finesweep.data.base import DataSource
from finesweep.data.cache import blocks, tokenised
from finesweep.data.fingerprint import fingerprint
from finesweep.data.table import Lazy, Table, Wanted, notes_of
from finesweep.results.tables import ReportTable, Scores
from finesweep.tasks.base import Examples, Feature, Frame, Row, Task
from finesweep.tasks.cells import text_of
from finesweep.tasks.tensors import end_token
from finesweep.tasks.text_scores import perplexity


class _Texts(Lazy):
    """The rows of a table as ``{"text"}``, each looked at when it is read."""

    def __init__(self, table: Table) -> None:
        self._table, self._records = table, table.by_name

    def __len__(self) -> int:
        return len(self._records)

    def entry(self, index: int) -> Any:
        return {"text": text_of(self._records[index]["text"], "text", self._table.where(index), empty=True)}


class Chunks(Lazy):
    """Equal parts of a long array of sub-words as features, made when they are asked for.

    Their ``text`` is 1 for sub-words of a text and 0 for special tokens.

    Args:
        ids: of the whole text.
        size: sub-words in a part; the last may have fewer, but at least two.
        before, after: special tokens around each part.
        end: what stands between two texts.
    """

    def __init__(
        self, ids: np.ndarray, size: int, before: Sequence[int], after: Sequence[int], end: Sequence[int]
    ) -> None:
        self._ids, self._size, self._end = ids, size, set(end)
        self._before, self._after = list(before), list(after)
        self._count = (len(ids) + size - 1) // size - (len(ids) % size == 1)

    def __len__(self) -> int:
        return self._count

    def entry(self, index: int) -> Any:
        if not -self._count <= index < self._count:
            raise IndexError(index)
        start = index % self._count * self._size
        body = self._ids[start : start + self._size].tolist()
        words = [int(each not in self._end) for each in body]
        text = [*[0] * len(self._before), *words, *[0] * len(self._after)]
        return Feature(index, [*self._before, *body, *self._after], {"text": text})


@component
class PlainText(Task):
    """Text cut into parts of ``data.max_length`` sub-words, which need not fit into memory.

    Attributes:
        document: what a line is: ``line``, a text of its own that ends with the end token; ``file``, a part of one
            running text, of which the line breaks are kept.
        cache_dir: where tokenised text is kept.
    """

    document: Literal["line", "file"]
    cache_dir: str

    new_head: ClassVar[bool] = False
    model_inputs: ClassVar[tuple[str, ...]] = ("input_ids", "attention_mask")
    metric_names: ClassVar[tuple[str, ...]] = ("loss", "perplexity")

    @property
    def wanted(self) -> Wanted:
        return replace(super().wanted, running=self.document == "file")

    def read(self, tables: Mapping[str, Table], source: DataSource, labels: Sequence[str] | None = None) -> Examples:
        splits = {split: _Texts(table) for split, table in tables.items()}
        return Examples(splits, [], notes_of(tables))

    def chunks(self, rows: Sequence[Row], frame: Frame, before: Sequence[int], after: Sequence[int]) -> Chunks:
        """The rows' text in parts."""
        tokenizer = frame.tokenizer
        end = [] if self.document == "file" else [end_token(tokenizer)]

        def tokenise(texts: list[str]) -> list[list[int]]:
            encodings = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
            return [[*ids, *end] for ids in encodings if ids]  # of an empty text nothing is left

        def text(row: Row) -> str:
            return str(row["text"]) + ("\n" if self.document == "file" else "")

        key = {
            "text": fingerprint(rows),
            "tokenizer": sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
            "document": self.document,
            "end": end,
            "version": metadata.version("tokenizers"),
        }
        folder = Path(self.cache_dir).expanduser()
        texts = ([text(row) for row in block] for block in blocks(rows))
        ids = tokenised(folder, key, texts, len(tokenizer), tokenise)
        if len(ids) < 2:
            raise UserError("the text has fewer than two sub-words", where="data")
        return Chunks(ids, frame.max_length - len(before) - len(after), before, after, end)

    def head(self, labels: Sequence[str]) -> dict[str, Any]:
        return {}

    def score(self, rows: Sequence[Row], predictions: Sequence[Row], loss: float) -> Scores:
        value = perplexity(loss)
        note = "The exponential of the mean loss of a sub-word; lower is better, and vocabularies cannot be compared."
        return Scores({"perplexity": value}, [ReportTable("Perplexity", note, ["perplexity"], [[value]])])

    def readable(self, row: Row, prediction: Row) -> dict[str, Any]:
        return {"text": row["text"], **prediction}
