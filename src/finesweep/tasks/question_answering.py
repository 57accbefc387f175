"""Extractive question answering: the span of a context that answers a question, or that there is none."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from finesweep.config.errors import UserError
from finesweep.config.fields import NonNegativeInt, PositiveInt, component
from finesweep.data.base import DataSource
from finesweep.data.table import Table, notes_of
from finesweep.results.tables import Scores
from finesweep.tasks.base import Batch, Examples, Feature, Frame, Row, Task
from finesweep.tasks.cells import text_of
from finesweep.tasks.tensors import model_batch, wide

if TYPE_CHECKING:
    import torch
    from torch import nn

#: Candidates for the start and for the end of an answer, of each window.
_CANDIDATES = 20


@component
class QuestionAnswering(Task):
    """A start and an end, each chosen among the sub-words of the context; the first token stands for no answer.

    A context that is too long becomes overlapping windows, of which the best answer counts (Devlin et al. 2019, section
    4.2 and 4.3, https://arxiv.org/abs/1810.04805).

    Attributes:
        no_answer: whether a question may have no answer.
        no_answer_threshold: no answer is predicted if its score is higher by more than this than any answer's.
        window_overlap: sub-words that neighbouring windows of a long context share.
        max_question_length: sub-words of a question; what is longer is cut.
        max_answer_length: sub-words of an answer.
        n_best: answers to tell, best first.
    """

    no_answer: bool
    no_answer_threshold: float
    window_overlap: NonNegativeInt
    max_question_length: PositiveInt
    max_answer_length: PositiveInt
    n_best: PositiveInt

    metric_names: ClassVar[tuple[str, ...]] = ("loss", "exact_match", "f1")
    mean_metrics: ClassVar[tuple[str, ...]] = ("exact_match", "f1")
    optional_columns: ClassVar[frozenset[str]] = frozenset({"id"})
    auto_class: ClassVar[str] = "AutoModelForQuestionAnswering"
    peft_type: ClassVar[str | None] = "QUESTION_ANS"
    of_subwords: ClassVar[bool] = True

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        yield from Task.problems(self, cfg)
        room = cfg["data"]["max_length"] - self.max_question_length
        if room < 16:
            message = f"of {self.max_question_length} leaves {room} of data.max_length={cfg['data']['max_length']}"
            yield "task.max_question_length", f"{message} to the context; 16 are the least"
        elif self.window_overlap > room - 8:
            yield "task.window_overlap", f"is {self.window_overlap}, and a window holds {room - 4} of the context"

    # --- data ---------------------------------------------------------------------------------------------------

    def read(self, tables: Mapping[str, Table], source: DataSource, labels: Sequence[str] | None = None) -> Examples:
        splits = {
            split: [self._row(cells, where) for where, cells in table.records()] for split, table in tables.items()
        }
        notes = notes_of(tables)
        for split, rows in splits.items():
            empty = sum(not row["answers"] for row in rows)
            if empty and not self.no_answer:
                notes.append(f"{tables[split].path}: {empty} questions have no answer, and task.no_answer is false")
        if self.no_answer and all(row["answers"] for row in splits.get("train", [{"answers": []}])):
            notes.append("every training question has an answer: with task.no_answer=false none is left unanswered")
        return Examples(splits, [], notes)

    def _row(self, cells: Mapping[str, Any], where: str) -> Row:
        question, context = (text_of(cells[name], name, where) for name in ("question", "context"))
        row = {"question": question, "context": context, "answers": answers_of(cells["answer"], context, where)}
        return {"id": str(cells["id"]), **row} if "id" in cells else row

    def encode(self, rows: Sequence[Row], frame: Frame) -> list[Feature]:
        if not rows:
            return []
        tokenizer = frame.tokenizer
        questions, cuts = zip(*(self._short(row["question"], frame) for row in rows), strict=True)
        encoded = tokenizer(
            list(questions),
            [row["context"] for row in rows],
            truncation="only_second",
            max_length=frame.max_length,
            stride=self.window_overlap,
            return_overflowing_tokens=True,
            verbose=False,
        )
        typed = "token_type_ids" in tokenizer.model_input_names
        features = []
        for encoding, index in zip(encoded.encodings, encoded["overflow_to_sample_mapping"], strict=True):
            # Where a tokenizer puts no such token, the first stands for no answer.
            none = encoding.ids.index(tokenizer.cls_token_id) if tokenizer.cls_token_id in encoding.ids else 0
            spans = [
                _without_blanks(rows[index]["context"], span) if part == 1 else None
                for part, span in zip(encoding.sequence_ids, encoding.offsets, strict=True)
            ]
            start, end = _positions(rows[index], spans, none)
            kept = [None if span is None else list(span) for span in spans]
            extra = {"start": start, "end": end, "none": none, "spans": kept}
            extra |= {"token_type_ids": list(encoding.type_ids)} if typed else {}
            features.append(Feature(index, list(encoding.ids), extra, cuts[index]))
        return features

    def _short(self, question: str, frame: Frame) -> tuple[str, int]:
        """The question cut to its share of the input, and how many sub-words that costs it."""
        (encoding,) = frame.tokenizer([question], add_special_tokens=False, verbose=False).encodings
        cut = len(encoding.ids) - self.max_question_length
        return (question[: encoding.offsets[self.max_question_length - 1][1]], cut) if cut > 0 else (question, 0)

    def collate(self, features: Sequence[Feature], frame: Frame) -> dict[str, "torch.Tensor"]:
        """Adds ``start`` and ``end`` (batch,)."""
        import torch

        extra = {name: torch.tensor([feature.extra[name] for feature in features]) for name in ("start", "end")}
        return {**model_batch(features, frame), **extra}

    def weight(self, feature: Feature) -> float:
        return 1.0

    # --- model --------------------------------------------------------------------------------------------------

    def head(self, labels: Sequence[str]) -> dict[str, Any]:
        return {"num_labels": 2}

    def forward(self, model: "nn.Module", batch: Batch) -> Any:
        """Logits (batch, seq, 2) of start and end; padding can be neither."""
        import torch

        logits = super().forward(model, batch)
        return logits.masked_fill(batch["attention_mask"].unsqueeze(-1) == 0, torch.finfo(torch.float32).min)

    def said(self, model: "nn.Module", batch: Batch) -> Any:
        import torch

        said = model(**self.inputs(batch))
        return wide(torch.stack([said.start_logits, said.end_logits], -1))

    def loss(self, logits: Any, batch: Batch, *, smooth: bool) -> tuple["torch.Tensor", "torch.Tensor"]:
        """The mean of both cross-entropies, for each window."""
        import torch
        from torch.nn.functional import cross_entropy

        both = [
            cross_entropy(logits[:, :, i], batch[name], reduction="none") for i, name in enumerate(("start", "end"))
        ]
        return (both[0] + both[1]) / 2, torch.ones_like(both[0])

    def predict(self, model: "nn.Module", logits: Any, batch: Batch, frame: Frame) -> list[Any]:
        """The logits of start and end, (2, seq) for each window."""
        return list(logits.transpose(1, 2).cpu().numpy())

    # --- predictions --------------------------------------------------------------------------------------------

    def decode(self, rows: Sequence[Row], features: Sequence[Feature], raw: Sequence[Any], frame: Frame) -> list[Row]:
        """``{"answer", "start", "end", "score", "n_best"}``; without an answer it is empty, and its place is null."""
        found: list[list[tuple[float, int, int]]] = [[] for _ in rows]
        none = [float("inf")] * len(rows)
        for feature, logits in zip(features, raw, strict=True):
            found[feature.row] += self._spans(feature, logits)
            # Each window has its say; that there is no answer must hold for all of them.
            none[feature.row] = min(none[feature.row], float(logits[:, feature.extra["none"]].sum()))
        return [self._best(row, spans, score) for row, spans, score in zip(rows, found, none, strict=True)]

    def _spans(self, feature: Feature, logits: np.ndarray) -> list[tuple[float, int, int]]:
        """The likeliest answers of a window, as (score, start, end) in characters of the context."""
        spans = feature.extra["spans"]
        inside = [i for i, span in enumerate(spans) if span is not None and span[1] > span[0]]
        starts, ends = ([inside[i] for i in np.argsort(-side[inside], kind="stable")[:_CANDIDATES]] for side in logits)
        return [
            (float(logits[0, i] + logits[1, j]), spans[i][0], spans[j][1])
            for i in starts
            for j in ends
            if i <= j < i + self.max_answer_length
        ]

    def _best(self, row: Row, spans: list[tuple[float, int, int]], none: float) -> Row:
        best: dict[str, Row] = {}
        for score, start, end in sorted(spans, key=lambda span: -span[0]):
            text = row["context"][start:end]
            if text not in best and len(best) < self.n_best:
                best[text] = {"answer": text, "start": start, "end": end, "score": score}
        ranked = list(best.values())
        if self.no_answer:
            empty: Row = {"answer": "", "start": None, "end": None, "score": none}
            first = not ranked or none - ranked[0]["score"] > self.no_answer_threshold
            by_score = sum(each["score"] >= none for each in ranked)
            ranked.insert(0 if first else max(1, by_score), empty)
            ranked = ranked[: self.n_best]
        if not ranked:
            return {"answer": "", "start": None, "end": None, "score": 0.0, "n_best": []}
        scores = np.array([each["score"] for each in ranked])
        shares = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        for each, share in zip(ranked, shares, strict=True):
            each["score"] = round(float(share), 4)
        return {**ranked[0], "n_best": ranked}

    def score(self, rows: Sequence[Row], predictions: Sequence[Row], loss: float) -> Scores:
        from finesweep.tasks.answer_scores import score_answers

        gold = [[answer["text"] for answer in row["answers"]] for row in rows]
        return score_answers(gold, [row["answer"] for row in predictions])

    def row_from_text(self, text: str, where: str) -> Row:
        remedy = 'give lines of JSON: {"question": "…", "context": "…"}'
        raise UserError("a question needs its context beside it", where=where, remedy=remedy)

    def row_from_object(self, value: Mapping[str, Any], where: str) -> Row:
        return {**{name: text_of(value.get(name), name, where) for name in ("question", "context")}, "answers": []}

    def text_of_row(self, row: Row) -> str:
        return f"{row['question']}\n{row['context']}"

    def classes_of_row(self, row: Row) -> list[str]:
        return ["answer" if row["answers"] else "no answer"]

    def readable(self, row: Row, prediction: Row) -> dict[str, Any]:
        return {"question": row["question"], **prediction}

    def lines(self, row: Row, prediction: Row) -> str:
        return f"{row['question']}\t{prediction['answer']}"


def answers_of(cell: Any, context: str, where: str) -> list[Row]:
    """``[{"text", "start"}]`` of a cell as SQuAD's JSON or the hub has it, or of a text that stands in the context.

    Raises:
        UserError: an answer is not where it is said to be, or nowhere.
    """
    if cell is None or cell == "":
        return []
    if isinstance(cell, str):
        cell = [{"text": cell, "answer_start": context.find(cell)}]
    if isinstance(cell, dict) and isinstance(cell.get("text"), list):  # the hub's form
        starts = cell.get("answer_start")
        if not isinstance(starts, list) or len(starts) != len(cell["text"]):
            raise UserError("'text' and 'answer_start' of the answers are not equally long", where=where)
        cell = [{"text": text, "answer_start": start} for text, start in zip(cell["text"], starts, strict=True)]
    if not isinstance(cell, list) or not all(isinstance(answer, dict) for answer in cell):
        raise UserError("the answers should be a list of objects with 'text' and 'answer_start'", where=where)
    found = []
    for answer in cell:
        text, start = text_of(answer.get("text"), "answer", where), answer.get("answer_start")
        if not isinstance(start, int) or isinstance(start, bool):
            raise UserError(f"the answer {text[:60]!r} has no whole number 'answer_start'", where=where)
        if start < 0 or context[start : start + len(text)] != text:
            there = context[start : start + len(text)] if 0 <= start < len(context) else ""
            what = f"at {start} stands {there[:60]!r}" if there else "it is nowhere in the context"
            raise UserError(f"the answer {text[:60]!r} is not in its place: {what}", where=where)
        found.append({"text": text, "start": start})
    return found


def _without_blanks(context: str, span: tuple[int, int]) -> tuple[int, int]:
    """A sub-word's place without the blanks that some tokenizers count to it."""
    start, end = span
    while start < end and context[start].isspace():
        start += 1
    while end > start and context[end - 1].isspace():
        end -= 1
    return start, end


def _positions(row: Row, spans: Sequence[tuple[int, int] | None], none: int) -> tuple[int, int]:
    """The tokens at which the first answer begins and ends, or that of no answer if it is not all in the window."""
    if not row["answers"]:
        return none, none
    begin = row["answers"][0]["start"]
    end = begin + len(row["answers"][0]["text"])
    inside = [(i, span) for i, span in enumerate(spans) if span is not None and span[1] > span[0]]
    if not inside or inside[0][1][0] > begin or inside[-1][1][1] < end:
        return none, none
    covered = [i for i, (low, high) in inside if low < end and high > begin]
    return (covered[0], covered[-1]) if covered else (none, none)
