"""Dialogue: turns with roles, of which the assistant's are learned and written."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from finesweep.config.errors import UserError
from finesweep.config.fields import PositiveInt, component
from finesweep.data.base import DataSource
from finesweep.data.table import Table, notes_of
from finesweep.results.tables import ReportTable, Scores
from finesweep.tasks.base import Batch, Examples, Feature, Frame, Kind, Row, Task
from finesweep.tasks.generation import Generation
from finesweep.tasks.tensors import IGNORED, ended, left_padded, model_batch, padded, token_loss, written_logits
from finesweep.tasks.text_scores import distinct, perplexity, rouge
from finesweep.tasks.turns import DEFAULT_TEMPLATE, messages_of

if TYPE_CHECKING:
    import torch
    from torch import nn


@component
class Dialogue(Task):
    """The assistant's turns given all before them; the loss is on these alone, with the token that ends them.

    A row is a dialogue whose last turn is the assistant's. A decoder learns all its answers at once. An
    encoder-decoder reads the turns before the last and writes that one. Scores are of the last answer, written freely.

    Attributes:
        roles: names that a data set gives to the roles -> ``system``, ``user`` or ``assistant``.
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
    kinds: ClassVar[tuple[Kind, ...]] = ("decoder", "encoder-decoder")
    auto_class: ClassVar[str] = "AutoModelForCausalLM"
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
        """Turns as one text, up to where the assistant's next one would begin if it is a prompt."""
        template = self.template
        if template is None and frame.tokenizer.chat_template is None:
            template = DEFAULT_TEMPLATE
        return str(
            frame.tokenizer.apply_chat_template(
                list(messages), chat_template=template, tokenize=False, add_generation_prompt=prompt
            )
        )

    def _stream(self, index: int, messages: Sequence[Row], frame: Frame) -> Feature:
        """For a decoder: the whole dialogue with the answers labelled, and the prompt of the last one."""
        last = messages[-1]["role"] == "assistant"
        pieces: list[tuple[str, bool]] = []  # (text, whether it is learned)
        done = ""
        for turn, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            prompt = self._render(messages[:turn], frame, prompt=True) if turn else ""
            whole = self._render(messages[: turn + 1], frame, prompt=False)
            if not prompt.startswith(done) or not whole.startswith(prompt):
                # A template that shows earlier turns otherwise than the last (without its thoughts, say).
                pieces, done = [], ""
            pieces += [(prompt[len(done) :], False), (whole[len(prompt) :], True)]
            done = whole
        if not last:
            pieces = [(self._render(messages, frame, prompt=True), False)]
        ids: list[int] = []
        labels: list[int] = []
        for text, learned in pieces:
            piece = frame.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
            end = frame.tokenizer.eos_token_id
            if learned and end not in piece:
                piece = [*piece, end]
            asked = len(ids) if learned else len(ids) + len(piece)
            # What a template puts behind the end of an answer (a line break) is not for the model to write.
            count = len(piece) - piece[::-1].index(end) if learned else 0
            labels += [*piece[:count], *[IGNORED] * (len(piece) - count)]
            ids += piece
        cut = max(0, len(ids) - frame.max_length)  # what was said first is forgotten first
        return Feature(index, ids[cut:], {"labels": labels[cut:], "prompt": ids[:asked][-frame.max_length :]}, cut)

    def _pair(self, index: int, messages: Sequence[Row], frame: Frame) -> Feature:
        """For an encoder-decoder: what was said before as its source, the last answer as its target."""
        answered = messages[-1]["role"] == "assistant"
        before = messages[:-1] if answered else messages
        source = frame.tokenizer(self._render(before, frame, prompt=True), verbose=False)["input_ids"]
        answer, cut = [IGNORED], 0
        if answered:
            said = frame.tokenizer(messages[-1]["content"], add_special_tokens=False, verbose=False)["input_ids"]
            answer, cut = ended(said, frame.tokenizer.eos_token_id, self.max_answer_length)
        cut += max(0, len(source) - frame.max_length)
        return Feature(index, source[-frame.max_length :], {"labels": answer}, cut)

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
        return self.generation.write(model, inputs, frame)

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
