"""The logger group: metrics.csv, which every run writes, and what mirrors it (TensorBoard, Weights & Biases)."""

import hashlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal

from finesweep.config.fields import component
from finesweep.config.secrets import redacted
from finesweep.results.record import RunRecord

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger


@component
class LoggerSettings(ABC):
    """Where curves go beside metrics.csv."""

    @abstractmethod
    def build(self, record: RunRecord, config: dict[str, Any], sweep: str | None) -> list["Logger"]:
        """Lightning loggers for a run, and the name of its sweep if it has one. The mirrors only."""

    def finish(self, failed: bool) -> None:  # noqa: B027  most have nothing to close
        """Close the run where it is mirrored, with its right status."""


@component
class CSV(LoggerSettings):
    """metrics.csv and nothing else."""

    def build(self, record: RunRecord, config: dict[str, Any], sweep: str | None) -> list["Logger"]:
        return []


@component
class TensorBoard(LoggerSettings):
    """Event files in ``tensorboard/`` of the run's folder."""

    def build(self, record: RunRecord, config: dict[str, Any], sweep: str | None) -> list["Logger"]:
        from pytorch_lightning.loggers import TensorBoardLogger

        # What was shown of a run after the checkpoint that it goes on from is shown again.
        purge = {"purge_step": record.resumed[-1]["step"] + 1} if record.resumed else {}
        return [TensorBoardLogger(record.folder, name="tensorboard", version="", **purge)]


@component
class WandB(LoggerSettings):
    """Weights & Biases, the runs of a sweep as one group.

    Attributes:
        project, entity, tags: as wandb names them.
        mode: ``offline`` keeps the run on this machine until ``wandb sync``.
    """

    project: str
    entity: str | None
    mode: Literal["offline", "online"]
    tags: list[str]

    def build(self, record: RunRecord, config: dict[str, Any], sweep: str | None) -> list["Logger"]:
        import wandb
        from pytorch_lightning.loggers import WandbLogger

        # A run of its own for each job, also where one process does many.
        run = wandb.init(
            project=self.project,
            entity=self.entity,
            mode=self.mode,
            tags=self.tags,
            group=sweep,
            name=record.folder.name,
            id=hashlib.sha256(f"{record.started} {record.folder.name}".encode()).hexdigest()[:16],
            resume="allow",  # a run that goes on is the same run there, too
            dir=str(record.folder),
            config=redacted(config),
            reinit="finish_previous",
            settings=wandb.Settings(silent=True, console="off"),
        )
        return [WandbLogger(experiment=run)]

    def finish(self, failed: bool) -> None:
        import wandb

        if wandb.run is not None:
            wandb.finish(exit_code=1 if failed else 0)
