"""Dialogue: turns with roles, of which the assistant's are learned and written."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from finesweep.config.errors import UserError
from finesweep.config.fields import PositiveInt, component
from finesweep.data.base import DataSource
from finesweep.data.table import Plain, Table, notes_of
from finesweep.results.tables import ReportTable, Scores
from finesweep.tasks.base import Batch, Examples, Feature, Frame, Kind, Row, Task
from finesweep.tasks.generation import Generation
from finesweep.tasks.tensors import (
    IGNORED,
    end_token,
    left_padded,
    model_batch,
    padded,
    special_ids,
    targets_of,
    token_loss,
    written_logits,
)  # fmt: skip
from finesweep.tasks.text_scores import distinct, perplexity, rouge
from finesweep.tasks.turns import DEFAULT_TEMPLATE, messages_of

if TYPE_CHECKING:
    import torch
    from torch import nn


#: Stands in for a turn, to see where a template puts it.
_OTHER = "finesweep-was-here"


@component
class Dialogue(Task):
    """The assistant's turns given all before them; the loss is on these alone, with the token that ends them.

    A row is a dialogue whose last turn is the assistant's. A decoder learns all its answers at once. An
    encoder-decoder reads the turns before the last and writes that one. Scores are of the last answer, written freely.

    Attributes:
        roles: names that a data set gives to the roles -> ``system``, ``user`` or ``assistant``; ``others`` stands
            for all that are not named.
        template: a Jinja template over ``messages`` and ``add_generation_prompt``; null takes the tokenizer's own, or a
            default one where it has none.
        max_answer_length: sub-words of an answer, as an encoder-decoder learns it; what is longer is cut.
        stemmer: whether ROUGE drops English word endings.
        generation: how answers are written.
    """

    roles: dict[str, str]
    template: str | None
    max_answer_length: PositiveInt
    stemmer: bool
    generation: Generation

    metric_names: ClassVar[tuple[str, ...]] = ("loss", "perplexity", "rougeL", "distinct_1", "distinct_2")
    mean_metrics: ClassVar[tuple[str, ...]] = ("rougeL",)
    kinds: ClassVar[tuple[Kind, ...]] = ("decoder", "encoder-decoder")
    auto_class: ClassVar[str] = "AutoModelForCausalLM"
    plain: ClassVar[Plain] = "blocks"
    new_head: ClassVar[bool] = False
    of_subwords: ClassVar[bool] = True
    model_inputs: ClassVar[tuple[str, ...]] = ("input_ids", "attention_mask")

    def auto_class_for(self, kind: Kind) -> str:
        return "AutoModelForSeq2SeqLM" if kind == "encoder-decoder" else self.auto_class

    def peft_type_for(self, kind: Kind) -> str | None:
        return "SEQ_2_SEQ_LM" if kind == "encoder-decoder" else "CAUSAL_LM"

    # --- data ---------------------------------------------------------------------------------------------------

    def read(self, tables: Mapping[str, Table], source: DataSource, labels: Sequence[str] | None = None) -> Examples:
        notes = notes_of(tables)
        splits: dict[str, Sequence[Row]] = {}
        for split, table in tables.items():
            rows = []
            without = 0
            for where, cells in table.records():
                messages = messages_of(cells["messages"], self.roles, where)
                while messages and messages[-1]["role"] != "assistant":
                    messages.pop()
                if len(messages) < 2:
                    without += 1
                else:
                    rows.append({"messages": messages})
            if not rows:
                raise UserError(
                    "no dialogue has an answer of the assistant",
                    where=table.path,
                    remedy="say who is the assistant: 'task.roles={Bob: assistant}'",
                )
            if without:
                notes.append(f"{table.path}: {without} dialogues without an answer of the assistant passed over")
            splits[split] = rows
        return Examples(splits, [], notes)

    def encode(self, rows: Sequence[Row], frame: Frame) -> list[Feature]:
        make = self._pair if frame.kind == "encoder-decoder" else self._stream
        return [make(index, row["messages"], frame) for index, row in enumerate(rows)]

    def _render(self, messages: Sequence[Row], frame: Frame, *, prompt: bool) -> str:
        """Turns as one text, up to where the assistant's next one would begin if it is a prompt.

        Blanks at the end of a prompt are left out: to most tokenizers they are a part of the word that follows.

        Raises:
            UserError: the template is broken, or does not take such turns.
        """
        from jinja2 import TemplateError

        template = self.template
        if template is None and frame.tokenizer.chat_template is None:
            template = DEFAULT_TEMPLATE
        try:
            text = str(
                frame.tokenizer.apply_chat_template(
                    list(messages), chat_template=template, tokenize=False, add_generation_prompt=prompt
                )
            )
            return text.rstrip(" ") if prompt else text
        except TemplateError as error:
            roles = ", ".join(message["role"] for message in messages)
            raise UserError(
                f"{'the template' if self.template else 'the chat template of the tokenizer'} does not take the turns "
                f"{roles}: {error}",
                where="task.template",
                remedy="give a template that does: task.template=…",
            ) from error

    def _stream(self, index: int, messages: Sequence[Row], frame: Frame) -> Feature:
        """For a decoder: the whole dialogue with the answers labelled, and the prompt of the last one."""
        answered = messages[-1]["role"] == "assistant"
        prompt = self._ids(self._render(messages[:-1] if answered else messages, frame, prompt=True), frame)[0]
        if not answered:
            cut = max(0, len(prompt) - frame.max_length)
            kept = prompt[-frame.max_length :]
            return Feature(index, kept, {"labels": [IGNORED] * len(kept), "prompt": kept}, cut)
        whole = self._render(messages, frame, prompt=False)
        ids, spans = self._ids(whole, frame)
        shown = [
            self._shown(turn, messages, whole, frame) for turn, m in enumerate(messages) if m["role"] == "assistant"
        ]
        if shown[-1] is None:
            raise UserError(
                f"the chat template does not show the answer {messages[-1]['content'][:60]!r}",
                where="task.template",
                remedy="give a template that does: task.template=…",
            )
        known = frame.tokenizer.added_tokens_decoder
        special = [i for i, each in enumerate(ids) if each in known and known[each].special]
        labels = [IGNORED] * len(ids)
        closing = next((i for i in special if spans[i][0] >= shown[-1][1]), None)
        for begin, end in filter(None, shown):
            close = next((i for i in special if spans[i][0] >= end), -1)
            if closing is not None and ids[close] == ids[closing]:
                end = spans[close][1]  # and what a template puts behind it (a line break) is not for the model to write
            for i, (start, stop) in enumerate(spans):
                if stop > begin and start < end:
                    labels[i] = ids[i]
        if closing is None:
            ids, labels = [*ids, end_token(frame.tokenizer)], [*labels, end_token(frame.tokenizer)]
        cut = max(0, len(ids) - frame.max_length)  # what was said first is forgotten first
        return Feature(index, ids[cut:], {"labels": labels[cut:], "prompt": prompt[-frame.max_length :]}, cut)

    def _ids(self, text: str, frame: Frame) -> tuple[list[int], list[tuple[int, int]]]:
        """Sub-words of a rendered text and their places in it; what a tokenizer puts before a text comes first."""
        (encoding,) = frame.tokenizer([text], add_special_tokens=False, verbose=False).encodings
        before = special_ids(frame.tokenizer)[0]
        if encoding.ids[: len(before)] == before:
            before = []
        return [*before, *encoding.ids], [*[(0, 0)] * len(before), *encoding.offsets]

    def _shown(self, turn: int, messages: Sequence[Row], whole: str, frame: Frame) -> tuple[int, int] | None:
        """Where a turn's text stands in the rendered dialogue: where another text in its place would begin and end.

        None where the template does not show it, as some do with the thoughts of earlier turns.
        """
        other = [*messages[:turn], {**messages[turn], "content": _OTHER}, *messages[turn + 1 :]]
        before, found, after = self._render(other, frame, prompt=False).partition(_OTHER)
        return (len(before), len(whole) - len(after)) if found else None

    def _pair(self, index: int, messages: Sequence[Row], frame: Frame) -> Feature:
        """For an encoder-decoder: what was said before as its source, the last answer as its target."""
        answered = messages[-1]["role"] == "assistant"
        before = messages[:-1] if answered else messages
        source = frame.tokenizer(self._render(before, frame, prompt=True), verbose=False)["input_ids"]
        target, cut = [IGNORED], 0
        if answered:
            ((target, cut),) = targets_of([messages[-1]["content"]], frame, self.max_answer_length)
        cut += max(0, len(source) - frame.max_length)
        return Feature(index, source[-frame.max_length :], {"labels": target}, cut)

    def collate(self, features: Sequence[Feature], frame: Frame) -> dict[str, "torch.Tensor"]:
        """Adds ``labels`` (batch, seq), and for a decoder ``prompt_ids`` and ``prompt_mask``, padded on the left."""
        batch = model_batch(features, frame)
        batch["labels"] = padded([feature.extra["labels"] for feature in features], IGNORED)
        if frame.kind == "decoder":
            prompts = left_padded([feature.extra["prompt"] for feature in features], frame)
            batch |= {"prompt_ids": prompts["input_ids"], "prompt_mask": prompts["attention_mask"]}
        return batch

    def weight(self, feature: Feature) -> float:
        labels = feature.extra["labels"]
        # A decoder predicts each from the one before, so the first has nothing to be predicted from.
        return float(sum(label != IGNORED for label in (labels[1:] if "prompt" in feature.extra else labels)))

    # --- model --------------------------------------------------------------------------------------------------

    def head(self, labels: Sequence[str]) -> dict[str, Any]:
        return {}

    def forward(self, model: "nn.Module", batch: Batch) -> Any:
        """Logits (batch, seq, vocabulary), each of the sub-word in its place of ``labels``."""
        if "prompt_ids" in batch:
            return super().forward(model, batch)[:, :-1]
        return written_logits(model, batch, batch["labels"])

    def said(self, model: "nn.Module", batch: Batch) -> Any:
        return model(**self.inputs(batch), use_cache=False).logits

    def loss(self, logits: Any, batch: Batch, *, smooth: bool) -> tuple["torch.Tensor", "torch.Tensor"]:
        labels = batch["labels"][:, 1:] if "prompt_ids" in batch else batch["labels"]
        return token_loss(logits, labels)

    def predict(self, model: "nn.Module", logits: Any, batch: Batch, frame: Frame) -> list[Any]:
        """The last answer of each dialogue, written freely."""
        names = ("prompt_ids", "prompt_mask") if "prompt_ids" in batch else self.model_inputs
        inputs = {"input_ids": batch[names[0]], "attention_mask": batch[names[1]]}
        return self.generation.write(model, inputs, frame, **self._stops(model, frame))

    def _stops(self, model: Any, frame: Frame) -> dict[str, Any]:
        """What ends an answer: the model's own end tokens, and the one that the template puts behind a turn."""
        if frame.kind != "decoder":
            return {}
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        labels = self._stream(0, turns, frame).extra["labels"]
        end = next(label for label in reversed(labels) if label != IGNORED)
        own = model.generation_config.eos_token_id
        return {"eos_token_id": sorted({end, *(own if isinstance(own, list) else [own] if own is not None else [])})}

    # --- predictions --------------------------------------------------------------------------------------------

    def decode(self, rows: Sequence[Row], features: Sequence[Feature], raw: Sequence[Any], frame: Frame) -> list[Row]:
        """``{"answer"}``."""
        return [{"answer": text} for text in raw]

    def score(self, rows: Sequence[Row], predictions: Sequence[Row], loss: float) -> Scores:
        """``distinct_n`` is the share of different n-grams among all that were written (Li et al. 2016)."""
        gold, answers = [row["messages"][-1]["content"] for row in rows], [row["answer"] for row in predictions]
        overlap = rouge(gold, answers, ("rougeL",), stemmer=self.stemmer)
        metrics = {
            "perplexity": perplexity(loss),
            **overlap.metrics,
            "distinct_1": distinct(answers, 1),
            "distinct_2": distinct(answers, 2),
        }
        rows_of_table = [[name, round(value, 4)] for name, value in metrics.items()]
        note = "Perplexity is of the answers' sub-words; the others are of the last answers, written freely."
        return Scores(metrics, [ReportTable("Answers", note, ["measure", "value"], rows_of_table)])

    def row_from_object(self, value: Mapping[str, Any], where: str) -> Row:
        """``{"messages"}``, or a text that the user says."""
        if "messages" in value:
            return {"messages": messages_of(value["messages"], self.roles, where)}
        return {"messages": [{"role": "user", "content": super().row_from_object(value, where)["text"]}]}

    def text_of_row(self, row: Row) -> str:
        return "\n".join(f"{message['role']}: {message['content']}" for message in row["messages"])

    def readable(self, row: Row, prediction: Row) -> dict[str, Any]:
        return {"messages": row["messages"], **prediction}

    def lines(self, row: Row, prediction: Row) -> str:
        return str(prediction["answer"]).replace("\n", " ")
