"""What a task is: everything that depends on the kind of problem, and nothing else does."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from finesweep.config.fields import component
from finesweep.config.schema import Objective
from finesweep.results.tables import Scores

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from finesweep.data.sources import DataSource
    from finesweep.data.table import Table

Row = dict[str, Any]


@dataclass(frozen=True)
class Examples:
    """The rows of each split in the task's own form, the label set, and what the user should know about them."""

    splits: dict[str, list[Row]]
    labels: list[str]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Feature:
    """What the model sees of a row, or of one window of it.

    Attributes:
        row: index of the row it is made of.
        input_ids: sub-word ids, special ones included.
        extra: the task's own integers, positions and labels for instance.
    """

    row: int
    input_ids: list[int]
    extra: dict[str, list[int]]

    def __len__(self) -> int:
        return len(self.input_ids)


@component
class Task(ABC):
    """A kind of problem.

    Attributes:
        name: of the task; a data set says which one it is for.
        objective: the metric that training goes by, unless the run says otherwise.
    """

    name: str
    objective: Objective

    #: Metric names that ``score`` gives, and that an objective may name.
    metric_names: ClassVar[tuple[str, ...]] = ("loss",)
    #: The transformers class that puts the task's head on an encoder.
    auto_class: ClassVar[str]
    #: Arguments of the transformers pipeline that runs a model of this task, for its card; empty if there is none.
    pipeline: ClassVar[str] = ""
    #: peft's name for the kind of problem.
    peft_type: ClassVar[str]

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        metric = cfg["objective"]["metric"]
        if metric not in self.metric_names:
            yield "objective.metric", f"{self.name} has no metric '{metric}', only {', '.join(self.metric_names)}"

    @abstractmethod
    def read(
        self, tables: Mapping[str, "Table"], source: "DataSource", labels: Sequence[str] | None = None
    ) -> Examples:
        """Rows in the task's form from tables in anybody's. Raises UserError with file and line.

        ``labels`` are those that a trained model knows; None takes them from the training rows.
        """

    @abstractmethod
    def encode(
        self, rows: Sequence[Row], labels: Sequence[str], tokenizer: "PreTrainedTokenizerBase", max_length: int
    ) -> list[Feature]:
        """Features of rows, in order; a row may give several, but at least one."""

    @abstractmethod
    def collate(self, features: Sequence[Feature], pad_token_id: int) -> dict[str, "torch.Tensor"]:
        """A padded batch. ``input_ids`` and ``attention_mask`` (batch, seq) go to the model, the rest to the task."""

    @abstractmethod
    def loss(
        self, logits: "torch.Tensor", batch: Mapping[str, "torch.Tensor"], *, smooth: bool
    ) -> tuple["torch.Tensor", "torch.Tensor"]:
        """For each row of the batch the summed loss and its weight (scored tokens), both (batch,).

        ``smooth`` is on in training: label smoothing changes what is optimised, not what is reported.
        """

    @abstractmethod
    def weight(self, feature: Feature) -> int:
        """The weight that ``loss`` gives a feature, known before the model runs."""

    @abstractmethod
    def predict(self, logits: "torch.Tensor", batch: Mapping[str, "torch.Tensor"]) -> list[Any]:
        """The raw prediction for each row of the batch, as plain Python or NumPy values."""

    @abstractmethod
    def decode(
        self, rows: Sequence[Row], features: Sequence[Feature], raw: Sequence[Any], labels: Sequence[str]
    ) -> list[Row]:
        """One prediction per row from the raw ones per feature; every row exactly once, in order."""

    @abstractmethod
    def score(self, rows: Sequence[Row], predictions: Sequence[Row]) -> Scores:
        """Measures of the field over predictions aligned with their rows."""

    @abstractmethod
    def row_from_text(self, text: str) -> Row:
        """A row to predict, without labels, from plain text."""

    @abstractmethod
    def readable(self, row: Row, prediction: Row) -> dict[str, Any]:
        """A prediction as users want it in JSON."""

    @abstractmethod
    def columns(self, row: Row, prediction: Row) -> str:
        """A prediction as lines of tab-separated columns."""

    def configure(self, model: "PreTrainedModel") -> None:  # noqa: B027  most tasks need nothing here
        """Last changes to a freshly loaded model, if the task needs any."""
