"""Token classification: a tag for every word of a sentence; named entities are its best-known case."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from finesweep.config.errors import UserError
from finesweep.config.fields import NonNegativeInt, Probability, component
from finesweep.data.base import DataSource
from finesweep.data.table import Mapped, Plain, Table
from finesweep.results.tables import ReportTable, Scores
from finesweep.tasks.base import Batch, Examples, Feature, Frame, Row, Task
from finesweep.tasks.cells import text_of
from finesweep.tasks.context import filled, neighbours
from finesweep.tasks.hardest import hardest_words
from finesweep.tasks.tag_rows import rename, tags_of, tokens_of
from finesweep.tasks.tags import entities, label_set, to_iob2
from finesweep.tasks.tensors import IGNORED, label_loss, model_batch, padded, special_ids
from finesweep.tasks.windows import windows

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from finesweep.results.significance import Tally


#: Rows that are encoded at a time.
_ROWS = 1000


@cache
def _word_pattern() -> re.Pattern[str]:
    """Words with inner points and hyphens in one piece, a clitic ('s) and every other mark on its own, as in
    CoNLL-2003. Vowel signs and accents that are characters of their own belong to their word."""
    marks = "".join(chr(code) for code in range(0x300, 0x20000) if unicodedata.category(chr(code))[0] == "M")
    letter = rf"[\w{marks}]"
    return re.compile(rf"{letter}+(?:[-.,:/@&]{letter}+)*|['’]{letter}+|[^\s]")


@component
class TokenClassification(Task):
    """One tag per word, predicted on its first sub-word.

    A sentence longer than ``max_length`` becomes overlapping windows and every word is scored once, in the window
    that shows most of its context. A word that the tokenizer has no sub-word for is predicted ``O``.

    Attributes:
        label_smoothing: probability mass that training spreads over all tags (Szegedy et al. 2016).
        window_overlap: sub-words that neighbouring windows of a long sentence share.
    """

    label_smoothing: Probability
    window_overlap: NonNegativeInt

    metric_names: ClassVar[tuple[str, ...]] = (
        "loss", "f1", "precision", "recall", "token_accuracy", "token_macro_f1",
    )  # fmt: skip
    plain: ClassVar[Plain] = "columns"
    of_words: ClassVar[bool] = True
    in_documents: ClassVar[bool] = True
    of_subwords: ClassVar[bool] = True
    auto_class: ClassVar[str] = "AutoModelForTokenClassification"
    #: Other sub-words than a word's first have no say in training, so they must have none in prediction.
    pipeline: ClassVar[str] = '"token-classification", aggregation_strategy="first"'
    peft_type: ClassVar[str | None] = "TOKEN_CLS"

    def read(self, tables: Mapping[str, Table], source: DataSource, labels: Sequence[str] | None = None) -> Examples:
        notes: list[str] = []
        splits = {}
        for split, table in tables.items():
            rows = self._rows(table, source)
            if source.context == "document":
                sentences = _sentences(table.whole or table)
                for row, around in zip(rows, neighbours(table, sentences, source.max_length), strict=True):
                    row["_left"], row["_right"] = around
            converted = to_iob2([row["tags"] for row in rows])
            for row, tags in zip(rows, converted.tags, strict=True):
                row["tags"] = tags
            notes += table.notes
            if converted.scheme != "IOB2":
                notes.append(f"{table.path}: tags recognised as {converted.scheme} and turned into IOB2")
            if converted.stray:
                notes.append(f"{table.path}: {converted.stray} entities begin with I- instead of B-, read as B-")
            if converted.bare:
                notes.append(f"{table.path}: {converted.bare} tags have no prefix as the others do, read as I-")
            splits[split] = rows
        notes += rename(splits, source.label_map, every_key=labels is None)
        known = list(labels) if labels is not None else _labels_of(splits["train"], tables["train"].path)
        # An I-X may have its place in the head through B-X, and yet be new.
        seen = set(known) if labels is not None else {tag for row in splits["train"] for tag in row["tags"]}
        for split, rows in splits.items():
            unseen = Counter(tag for row in rows for tag in row["tags"] if tag not in seen)
            if unseen:
                listed = ", ".join(f"{tag} ({count})" for tag, count in sorted(unseen.items()))
                notes.append(f"{tables[split].path}: tags that training has not seen and no model can learn: {listed}")
        return Examples(splits, known, list(dict.fromkeys(notes)))

    def _rows(self, table: Table, source: DataSource) -> list[Row]:
        rows: list[Row] = []
        for where, cells in table.records():
            tokens, tags = tokens_of(cells["token"], where), tags_of(cells["tag"], source.label_names, where)
            if len(tokens) != len(tags):
                raise UserError(f"{len(tokens)} tokens but {len(tags)} tags", where=where)
            rows.append({"tokens": tokens, "tags": tags})
        return rows

    def encode(self, rows: Sequence[Row], frame: Frame) -> list[Feature]:
        tokenizer = frame.tokenizer
        ids = {label: index for index, label in enumerate(frame.labels)}
        before, after = special_ids(tokenizer)
        capacity = frame.max_length - len(before) - len(after)
        encodings = _encodings(tokenizer, (row["tokens"] for row in rows))
        around = _encodings(tokenizer, (row[side] for row in rows if "_left" in row for side in ("_left", "_right")))
        features = []
        for index, (row, encoding) in enumerate(zip(rows, encodings, strict=True)):
            left, right = (next(around).ids, next(around).ids) if "_left" in row else ([], [])
            first, pieces = _pieces(encoding.word_ids, len(row["tokens"]))
            tags = row.get("tags")
            spans = windows(pieces, capacity, min(self.window_overlap, capacity // 2))
            for window in spans:
                start = first[window.start]
                body = encoding.ids[start : start + min(capacity, sum(pieces[window.start : window.end]))]
                moved = 0
                if len(spans) == 1:
                    body, moved = filled(body, left, right, capacity)
                owned = [w for w in range(window.own_start, window.own_end) if pieces[w]]
                extra = {
                    "words": owned,
                    "positions": [len(before) + moved + first[w] - start for w in owned],
                    "labels": [ids.get(tags[w], IGNORED) for w in owned] if tags else [IGNORED] * len(owned),
                }
                features.append(Feature(index, [*before, *body, *after], extra))
        return features

    def collate(self, features: Sequence[Feature], frame: Frame) -> dict[str, "torch.Tensor"]:
        """Adds ``positions`` and ``labels`` (batch, words): where the owned words' first sub-words stand, and their
        tags; padding and unknown tags are -100 in ``labels``, padding is 0 in ``positions``."""
        positions = padded([feature.extra["positions"] for feature in features], 0)
        labels = padded([feature.extra["labels"] for feature in features], IGNORED)
        return {**model_batch(features, frame), "positions": positions, "labels": labels}

    def weight(self, feature: Feature) -> float:
        return sum(label != IGNORED for label in feature.extra["labels"])

    def loss(self, logits: Any, batch: Batch, *, smooth: bool) -> tuple["torch.Tensor", "torch.Tensor"]:
        scored = _at_words(logits, batch["positions"])  # (batch, words, labels)
        return label_loss(scored, batch["labels"], self.label_smoothing if smooth else 0.0)

    def predict(self, model: "nn.Module", logits: Any, batch: Batch, frame: Frame) -> list[Any]:
        """Per row a pair of arrays (words,): label ids and their probabilities; padding words are at the end."""
        best = _at_words(logits, batch["positions"]).float().softmax(-1).max(-1)
        return list(zip(best.indices.cpu().numpy(), best.values.cpu().numpy(), strict=True))

    def decode(self, rows: Sequence[Row], features: Sequence[Feature], raw: Sequence[Any], frame: Frame) -> list[Row]:
        """``{"tags": [...], "scores": [...]}`` per row; a word without a sub-word is ``O`` with probability 1."""
        out: list[Row] = [{"tags": ["O"] * len(row["tokens"]), "scores": [1.0] * len(row["tokens"])} for row in rows]
        for feature, (ids, scores) in zip(features, raw, strict=True):
            row = out[feature.row]
            numbers = (np.asarray(each).tolist() for each in (ids, scores))  # one by one they take long
            for word, label, score in zip(feature.extra["words"], *numbers, strict=False):
                row["tags"][word] = frame.labels[label]
                row["scores"][word] = round(score, 4)
        return out

    def score(self, rows: Sequence[Row], predictions: Sequence[Row], loss: float) -> Scores:
        from finesweep.tasks.tag_scores import score_tags

        return score_tags((row["tags"], said["tags"]) for row, said in zip(rows, predictions, strict=True))

    def tally(
        self, metric: str, rows: Sequence[Row], predictions: Sequence[Row], labels: Sequence[str]
    ) -> "Tally | None":
        from finesweep.tasks.tag_scores import tally_tags

        return tally_tags(metric, [row["tags"] for row in rows], [row["tags"] for row in predictions])

    def hardest(self, rows: Sequence[Row], predictions: Sequence[Row]) -> ReportTable | None:
        gold, said = [row["tags"] for row in rows], [row["tags"] for row in predictions]
        return hardest_words([row["tokens"] for row in rows], gold, said, [row["scores"] for row in predictions])

    def row_from_object(self, value: Mapping[str, Any], where: str) -> Row:
        """``{"tokens"}`` as they are, or of a text ``{"tokens", "text", "spans"}``: words and marks, and where each
        stands in it."""
        if isinstance(value.get("tokens"), list):
            return {"tokens": tokens_of(value["tokens"], where) if value["tokens"] else []}
        if "text" not in value:
            raise UserError("the line has neither a 'text' nor a list of 'tokens'", where=where)
        text = text_of(value["text"], "text", where, empty=True)
        found = list(_word_pattern().finditer(text))
        return {"tokens": [m.group() for m in found], "text": text, "spans": [m.span() for m in found]}

    def text_of_row(self, row: Row) -> str:
        return " ".join(row["tokens"])

    def classes_of_row(self, row: Row) -> list[str]:
        return [entity.type for entity in entities(row["tags"])]

    def readable(self, row: Row, prediction: Row) -> dict[str, Any]:
        """``{"text", "entities"}``; an entity has type, text, character offsets (end exclusive) and score, which is the
        mean probability of its words' tags. Rows of tokens are joined by blanks."""
        text, spans = row.get("text"), row.get("spans")
        if text is None or spans is None:
            text, spans = " ".join(row["tokens"]), _spans(row["tokens"])
        found = []
        for entity in entities(prediction["tags"]):
            start, end = spans[entity.start][0], spans[entity.end - 1][1]
            scores = prediction["scores"][entity.start : entity.end]
            score = round(sum(scores) / len(scores), 4)
            found.append({"type": entity.type, "text": text[start:end], "start": start, "end": end, "score": score})
        return {"text": text, "entities": found}

    def lines(self, row: Row, prediction: Row) -> str:
        """``token<TAB>tag`` lines, and an empty one behind them."""
        pairs = zip(row["tokens"], prediction["tags"], strict=True)
        return "".join(f"{token}\t{tag}\n" for token, tag in pairs)


def _sentences(table: Table) -> Sequence[list[str]]:
    return Mapped(table.by_name, lambda cells: tokens_of(cells["token"], table.path))


def _encodings(tokenizer: "PreTrainedTokenizerBase", rows: Iterable[Sequence[str]]) -> Iterator[Any]:
    """Sub-words of rows of words, without special ones; made as they are asked for, some rows at a time."""
    # The tokenizer itself would also make lists of all that is known of each sub-word, which takes as long again.
    backend: Any = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    every = iter(rows)
    while some := [list(words) for words in islice(every, _ROWS)]:
        yield from backend.encode_batch(some, is_pretokenized=True, add_special_tokens=False)


def _spans(tokens: Sequence[str]) -> list[tuple[int, int]]:
    """Where tokens stand in the text that joining them by blanks gives."""
    spans, start = [], 0
    for token in tokens:
        spans.append((start, start + len(token)))
        start += len(token) + 1
    return spans


def _labels_of(train: Sequence[Row], path: str) -> list[str]:
    labels = label_set(row["tags"] for row in train)
    if labels == ["O"]:
        raise UserError(
            "the training data has no entity, every tag is O",
            where=path,
            remedy="check data.tag_column: it counts from 0, and -1 is the last column",
        )
    return labels


def _at_words(logits: "torch.Tensor", positions: "torch.Tensor") -> "torch.Tensor":
    """(batch, seq, labels) and (batch, words) to (batch, words, labels)."""
    return logits.gather(1, positions.unsqueeze(-1).expand(-1, -1, logits.size(-1)))


def _pieces(word_ids: Sequence[int | None], count: int) -> tuple[list[int], list[int]]:
    """For each word the index of its first sub-word (and behind them the end), and the number of its sub-words."""
    pieces = [0] * count
    for word in word_ids:
        if word is not None:
            pieces[word] += 1
    return list(accumulate(pieces, initial=0)), pieces
