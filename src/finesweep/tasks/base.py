"""What a task is: everything that depends on the kind of problem, and nothing else does."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from finesweep.config.errors import UserError
from finesweep.config.fields import component
from finesweep.config.schema import Objective
from finesweep.data.fingerprint import fingerprint
from finesweep.data.table import Column, Plain, Wanted
from finesweep.results.tables import ReportTable, Scores
from finesweep.tasks.cells import text_of

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from finesweep.data.base import DataSource
    from finesweep.data.table import Table
    from finesweep.results.significance import Tally

Row = dict[str, Any]
#: What a model is made of.
Kind = Literal["encoder", "decoder", "encoder-decoder"]
Batch = Mapping[str, Any]


@dataclass(frozen=True)
class Examples:
    """The rows of each split in the task's own form, the label set, and what the user should know about them."""

    splits: Mapping[str, Sequence[Row]]
    labels: list[str]
    notes: list[str] = field(default_factory=list)

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """Of the rows of each split; they are read once, however long they are."""
        return {split: fingerprint(rows) for split, rows in self.splits.items()}


@dataclass(frozen=True)
class Feature:
    """What the model sees of a row, or of one window of it.

    Attributes:
        row: index of the row it is made of.
        input_ids: sub-word ids, special ones included.
        extra: what else the task puts into a batch: labels, positions, a weight.
        cut: sub-words of the row that did not fit.
    """

    row: int
    input_ids: list[int]
    extra: dict[str, Any]
    cut: int = 0

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True)
class Frame:
    """What a task has to know of the model that it works with.

    Attributes:
        labels: in the order of the model's outputs; empty where the task has none.
        max_length: sub-words in an input, special ones included.
    """

    tokenizer: "PreTrainedTokenizerBase"
    labels: list[str]
    max_length: int
    kind: Kind = "encoder"

    @property
    def pad_token_id(self) -> int:
        return int(self.tokenizer.pad_token_id)  # models sees to it that there is one


@component
class Task(ABC):
    """A kind of problem.

    Attributes:
        name: of the task; a data set says which one it is for.
        objective: the metric that training goes by, unless the run says otherwise.
        columns: the task's name of a column -> where to look for it if ``data.<name>_column`` is auto: names in order
            of preference, and a number for files whose columns have no names.
    """

    name: str
    objective: Objective
    columns: dict[str, list[Column]]

    #: Metric names that ``score`` gives, and that an objective may name.
    metric_names: ClassVar[tuple[str, ...]] = ("loss",)
    #: Those of them that are the mean over rows of what ``score`` gives for each row alone.
    mean_metrics: ClassVar[tuple[str, ...]] = ()
    #: Columns that a table need not have.
    optional_columns: ClassVar[frozenset[str]] = frozenset()
    #: What a text file is, if nothing else tells: tokens with their columns, or a text on each line.
    plain: ClassVar[Plain] = "text"
    #: Whether rows are lists of words, which a tokenizer has to treat like words in a text.
    of_words: ClassVar[bool] = False
    #: Whether it needs to know where in a text a sub-word stands, which only fast tokenizers tell.
    fast_tokenizer: ClassVar[bool] = True
    #: The kinds of model that can do it.
    kinds: ClassVar[tuple[Kind, ...]] = ("encoder",)
    #: The transformers class that puts the task's head on a model of each kind.
    auto_class: ClassVar[str]
    #: Whether the head is new, to be trained from scratch, and not the one that the model was pretrained with.
    new_head: ClassVar[bool] = True
    #: Arguments of the transformers pipeline that runs a model of this task, for its card; empty if there is none.
    pipeline: ClassVar[str] = ""
    #: peft's name for the kind of problem; None where it has none.
    peft_type: ClassVar[str | None] = None
    #: Whether the model says something of each sub-word; what it says of virtual tokens before them is left out.
    of_subwords: ClassVar[bool] = False
    #: Whether rows can be read with what stands around them in their document.
    in_documents: ClassVar[bool] = False
    #: Whether ``corrupt`` hides some of a batch, so that the model sees another one of it each time.
    hides: ClassVar[bool] = False
    #: What of a batch goes to the model, if it is there; the rest is for the task.
    model_inputs: ClassVar[tuple[str, ...]] = ("input_ids", "attention_mask", "token_type_ids")

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        metric = cfg["objective"]["metric"]
        if metric not in self.metric_names:
            yield "objective.metric", f"{self.name} has no metric '{metric}', only {', '.join(self.metric_names)}"
        if cfg["data"].get("context") == "document" and not self.in_documents:
            yield "data.context", f"{self.name} reads each row alone: set it to sentence"

    @property
    def wanted(self) -> Wanted:
        """What is to be found in a table."""
        return Wanted(self.columns, self.optional_columns, self.plain)

    # --- data ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def read(
        self, tables: Mapping[str, "Table"], source: "DataSource", labels: Sequence[str] | None = None
    ) -> Examples:
        """Rows in the task's form from tables whose columns are found. Raises UserError with file and line.

        ``labels`` are those that a trained model knows; None takes them from the training rows.
        """

    @abstractmethod
    def encode(self, rows: Sequence[Row], frame: Frame) -> Sequence[Feature]:
        """Features of rows, in order; a row may give several, but at least one."""

    @abstractmethod
    def collate(self, features: Sequence[Feature], frame: Frame) -> dict[str, "torch.Tensor"]:
        """A padded batch; what :attr:`model_inputs` names goes to the model, the rest to the task."""

    @abstractmethod
    def weight(self, feature: Feature) -> float:
        """The weight that ``loss`` gives a feature in training, known before the model runs."""

    # --- model --------------------------------------------------------------------------------------------------

    def head(self, labels: Sequence[str]) -> dict[str, Any]:
        """What the model's configuration must say for its head to fit the labels."""
        return {
            "id2label": dict(enumerate(labels)),
            "label2id": {label: index for index, label in enumerate(labels)},
        }

    def auto_class_for(self, kind: Kind) -> str:
        """The transformers class that puts the task's head on a model of this kind."""
        return self.auto_class

    def peft_type_for(self, kind: Kind) -> str | None:
        """peft's name for the kind of problem; None where it has none."""
        return self.peft_type

    def corrupt(self, batch: Batch, *, training: bool) -> Batch:
        """The batch as the model gets to see it, for tasks that hide some of it. Torch's generator is seeded."""
        return batch

    def forward(self, model: "nn.Module", batch: Batch) -> Any:
        """What the model says to a batch: logits."""
        logits = self.said(model, batch)
        return logits[:, -batch["input_ids"].size(1) :] if self.of_subwords else logits

    def said(self, model: "nn.Module", batch: Batch) -> Any:
        """The model's own output for a batch: its logits, unless a task's head has several."""
        return model(**self.inputs(batch)).logits

    def inputs(self, batch: Batch) -> dict[str, Any]:
        """What goes to the model."""
        return {name: batch[name] for name in self.model_inputs if name in batch}

    @abstractmethod
    def loss(self, logits: Any, batch: Batch, *, smooth: bool) -> tuple["torch.Tensor", "torch.Tensor"]:
        """For each row of the batch the summed loss and its weight (scored tokens), both (batch,).

        ``smooth`` is on in training: label smoothing and class weights change what is optimised, not what is reported.
        """

    @abstractmethod
    def predict(self, model: "nn.Module", logits: Any, batch: Batch, frame: Frame) -> list[Any]:
        """The raw prediction for each row of the batch, as plain Python or NumPy values."""

    # --- predictions --------------------------------------------------------------------------------------------

    @abstractmethod
    def decode(self, rows: Sequence[Row], features: Sequence[Feature], raw: Sequence[Any], frame: Frame) -> list[Row]:
        """One prediction per row from the raw ones per feature; every row exactly once, in order."""

    @abstractmethod
    def score(self, rows: Sequence[Row], predictions: Sequence[Row], loss: float) -> Scores:
        """Measures of the field over predictions aligned with their rows; ``loss`` is the mean over what is scored."""

    def tally(
        self, metric: str, rows: Sequence[Row], predictions: Sequence[Row], labels: Sequence[str]
    ) -> "Tally | None":
        """What each row adds to a metric, for tests of significance; None where sums over rows do not make it.

        Args:
            labels: all that the model knows.
        """
        if metric not in self.mean_metrics:
            return None
        from finesweep.results.significance import mean_tally

        pairs = zip(rows, predictions, strict=True)
        return mean_tally([self.score([row], [said], 0.0).metrics[metric] for row, said in pairs])

    def hardest(self, rows: Sequence[Row], predictions: Sequence[Row]) -> ReportTable | None:
        """The errors that the model was surest of, for people to read; None of a task that cannot tell."""
        return None

    def row_from_text(self, text: str, where: str) -> Row:
        """A row to predict, without labels, from plain text. Raises UserError where plain text is not enough."""
        return self.row_from_object({"text": text}, where)

    def row_from_object(self, value: Mapping[str, Any], where: str) -> Row:
        """A row to predict from an object of JSON whose keys are the task's own names of its columns."""
        if "text" not in value:
            raise UserError("the line has no 'text'", where=where)
        return {"text": text_of(value["text"], "text", where)}

    @abstractmethod
    def readable(self, row: Row, prediction: Row) -> dict[str, Any]:
        """A prediction as users want it in JSON."""

    @abstractmethod
    def lines(self, row: Row, prediction: Row) -> str:
        """A prediction as lines of tab-separated columns."""

    # --- what is in the data ------------------------------------------------------------------------------------

    def text_of_row(self, row: Row) -> str:
        """The text that two equal rows share, whatever their labels."""
        return str(row["text"])

    def classes_of_row(self, row: Row) -> list[str]:
        """The classes that a row counts for."""
        return []
