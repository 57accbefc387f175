"""Load a transformers model with a task's head, and its tokenizer."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from finesweep.config.errors import UserError
from finesweep.config.fields import Positive, Probability, component
from finesweep.config.instantiate import build
from finesweep.data.fingerprint import content_hash
from finesweep.models.architectures import KINDS, architecture_of, kind_mismatch, kind_of
from finesweep.models.tokenizer import check_tokenizer, prepare_for_words
from finesweep.strategies.anatomy import in_body
from finesweep.strategies.fits import misfit

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from finesweep.tasks.base import Kind, Task

#: ``embedded:tiny`` is the folder ``tiny_files`` beside this file.
EMBEDDED = "embedded:"
#: Endings of the keys that hold a dropout in the configurations of transformers.
_DROPOUTS = ("dropout", "dropout_prob", "dropout_rate", "pdrop")


@dataclass(frozen=True)
class Loaded:
    """A model with its head, its tokenizer, what it is made of, and the hash of the files it came from."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    kind: "Kind"
    fingerprint: str


@component
class PretrainedModel:
    """A model of the hub or of a folder.

    Attributes:
        name: what runs with this model are called by default.
        name_or_path: hub id, or a folder that ``save_pretrained`` wrote.
        architecture: transformers' model type, for checks before it is loaded; null reads a folder's, and a hub model's
            only once it is there.
        revision: branch, tag or commit of a hub model; pin it to repeat a result.
        pretrained: false keeps the architecture and draws the weights at random.
        dropout: replaces every dropout of the model's configuration; null keeps them.
        dtype: of the weights. Training in less than float32 is for those who know why; see ``trainer.precision``.
        learning_rate: suits full fine-tuning of this model.
    """

    name: str
    name_or_path: str
    architecture: str | None
    revision: str | None
    pretrained: bool
    dropout: Probability | None
    dtype: Literal["float32", "float64", "bfloat16", "float16"]
    learning_rate: Positive

    @property
    def is_shared(self) -> bool:
        """Whether others than this package get the same weights by its name."""
        return self.pretrained and not self.name_or_path.startswith(EMBEDDED)

    def problems(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        yield from self._fit(cfg)
        if self.name_or_path.startswith(EMBEDDED) and not _folder(self.name_or_path).is_dir():
            yield "model.name_or_path", f"there is no embedded model '{self.name_or_path.removeprefix(EMBEDDED)}'"

    def _fit(self, cfg: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """What does not fit task and strategy, where the architecture is known beforehand."""
        architecture = self.architecture or architecture_of(Path(self._where()))
        kind = KINDS.get(architecture or "")
        if architecture is None or kind is None:
            return
        task = build(cfg["task"], cfg["extension_packages"])
        if wrong := kind_mismatch(kind, task.name, task.kinds):
            yield "model", f"{self.name} {wrong}"
            return
        strategy = cfg["finetune_strategy"].get("name", "")
        if why := misfit(strategy, kind, architecture, task.peft_type_for(kind), task.new_head):
            yield "finetune_strategy", f"{strategy} {why}"

    def load(
        self, task: "Task", labels: Sequence[str], max_length: int, arguments: Mapping[str, Any] | None = None
    ) -> Loaded:
        """The model with a head for ``labels``; call with the generators seeded, the head is drawn at random.

        Only a head of the same size that the files hold already is taken as it is.

        Args:
            arguments: more of them for ``from_pretrained``, see :meth:`Strategy.loading`.

        Raises:
            UserError: it cannot be loaded, lacks weights of its encoder, or is too short for ``max_length``.
        """
        return self._load(task, labels, max_length, weights=True, arguments=arguments or {})

    def fingerprint(self) -> str:
        """The commit of a hub model, or a hash over the files of a folder, without loading it.

        Raises:
            UserError: it is not there.
        """
        where = self._where()
        with self._explained(where):
            return _commit(where, self.revision) or _fingerprint(Path(where))

    def skeleton(self, task: "Task", labels: Sequence[str], max_length: int) -> Loaded:
        """The same without weights, on the meta device: for counting parameters. Raises as :meth:`load` does."""
        return self._load(task, labels, max_length, weights=False, arguments={})

    def _load(
        self, task: "Task", labels: Sequence[str], max_length: int, *, weights: bool, arguments: Mapping[str, Any]
    ) -> Loaded:
        import torch
        import transformers
        from transformers import AutoConfig, AutoTokenizer

        transformers.logging.set_verbosity_error()  # the report on the new head's weights is no news here
        transformers.logging.disable_progress_bar()
        where = self._where()
        # Code that comes with a model is never run; left open, transformers would ask on the terminal.
        common = {"revision": self.revision, "trust_remote_code": False}
        with self._explained(where):
            config = AutoConfig.from_pretrained(where, **task.head(labels), **common)
            kind = kind_of(config)
            if wrong := kind_mismatch(kind, task.name, task.kinds):
                raise UserError(wrong, where=self._key, remedy="choose another model")
            config._commit_hash = _commit(where, self.revision)  # where older versions of transformers kept it
            # Only where words come one by one is the blank before the first of them a matter of the text.
            words = {"add_prefix_space": True} if task.of_words else {}
            tokenizer = AutoTokenizer.from_pretrained(where, **words, **common)
            check_tokenizer(tokenizer, self._key, fast=task.fast_tokenizer, pad_with_end=kind == "decoder")
            if task.of_words:
                prepare_for_words(tokenizer)
            if config.pad_token_id is None:
                config.pad_token_id = tokenizer.pad_token_id
            self._set_dropout(config)
            auto_class = getattr(transformers, task.auto_class_for(kind))
            if weights and self.pretrained:
                model = self._pretrained(where, config, auto_class, {**common, **arguments})
            else:
                # Drawn in full precision whatever the checkpoint has, so that a seed gives one set of weights.
                with torch.device("cpu" if weights else "meta"):
                    model = auto_class.from_config(config, dtype=torch.float32, trust_remote_code=False)
                model = model.to(getattr(torch, self.dtype))
        _check_length(model, tokenizer, max_length)
        fingerprint = (config._commit_hash or _fingerprint(Path(where))) if weights else ""
        return Loaded(model, tokenizer, kind, fingerprint)

    def _pretrained(
        self, where: str, config: "PretrainedConfig", auto_class: Any, common: dict[str, Any]
    ) -> "PreTrainedModel":
        import torch

        # A checkpoint keeps its own dtype unless told otherwise; a head of another size is drawn anew.
        model, info = auto_class.from_pretrained(
            where,
            config=config,
            dtype=getattr(torch, self.dtype),
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **common,
        )
        unfit = {*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])}
        lost = sorted(key for key in unfit if in_body(model, key))
        if lost:
            raise UserError(
                f"of the encoder's weights {len(lost)} are missing or have another shape than config.json says, "
                f"{lost[0]} for one: it would be partly random",
                where=self._key,
                remedy="use files of the whole model, or model.pretrained=false for random weights",
            )
        return model

    def _set_dropout(self, config: "PretrainedConfig") -> None:
        if self.dropout is None:
            return
        names = [n for n, v in vars(config).items() if n.endswith(_DROPOUTS) and not isinstance(v, bool)]
        if not names:
            raise UserError(
                f"{type(config).__name__} has no dropout to set", where="model.dropout", remedy="use model.dropout=null"
            )
        for name in names:
            setattr(config, name, self.dropout)

    @property
    def _key(self) -> str:
        return f"model.name_or_path={self.name_or_path}"

    def _where(self) -> str:
        """What transformers is asked for: a hub id, or a folder by a name that holds in any working directory."""
        embedded = self.name_or_path.startswith(EMBEDDED)
        folder = _folder(self.name_or_path) if embedded else Path(self.name_or_path)
        return str(folder.resolve()) if folder.is_dir() else self.name_or_path

    @contextmanager
    def _explained(self, where: str) -> Iterator[None]:
        """One readable error for all that the libraries raise over files of others: broken ones can raise anything."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            what, remedy = _reason(where, error)
            raise UserError(f"the model cannot be loaded: {what}", where=self._key, remedy=remedy) from error


def _reason(where: str, error: Exception) -> tuple[str, str]:
    """What is wrong and what to do about it, where an error of transformers leaves the reader to guess."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if "trust_remote_code" in str(error):
        return "it comes with code of its own, which is not run", "choose an architecture that transformers itself has"
    folder = Path(where)
    if not folder.is_dir():
        if folder.exists() or where.startswith(("/", ".", "~")) or where.count("/") > 1:
            return f"'{where}' is no folder", "check the path; it has to be a folder that save_pretrained wrote"
        return lines[0][:200], "check the id and the connection, or give a folder: model=hf model.name_or_path=…"
    pickled = sorted(file.name for file in folder.glob("*.bin"))
    if pickled and not list(folder.glob("*.safetensors")) and (folder / "config.json").is_file():
        return (
            f"{pickled[0]} is in pickle format, which can run code when it is read, and there is no model.safetensors",
            "if you trust the file, write it anew: AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        )
    return lines[0][:200], "the folder must hold what save_pretrained writes: config.json, model.safetensors, tokenizer"


def _folder(name_or_path: str) -> Path:
    return Path(__file__).parent / f"{name_or_path.removeprefix(EMBEDDED)}_files"


def _check_length(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", max_length: int) -> None:
    positions = getattr(model.config, "max_position_embeddings", None)
    for name, module in model.named_modules():
        # RoBERTa and its kin count positions from behind the padding index: 514 of them make 512.
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            positions = module.num_embeddings - module.padding_idx - 1
    limits = [tokenizer.model_max_length] if positions is None else [positions, tokenizer.model_max_length]
    if max_length > min(limits):
        raise UserError(
            f"the model takes at most {min(limits)} sub-words, virtual ones among them, and not {max_length}",
            where="data.max_length",
            remedy="set a smaller one; longer rows become overlapping windows",
        )


def _commit(where: str, revision: str | None) -> str | None:
    """The commit of a hub model whose configuration has just been read; None for a folder."""
    from huggingface_hub import try_to_load_from_cache

    if Path(where).is_dir():
        return None
    cached = try_to_load_from_cache(where, "config.json", revision=revision)
    if not isinstance(cached, str):
        raise FileNotFoundError(f"'{where}' has been read but is not in the cache of the hub, so its commit is unknown")
    return Path(cached).parent.name


def _fingerprint(folder: Path) -> str:
    """SHA-256 over the files of a folder that make the model, wherever it stands."""
    kinds = (".json", ".safetensors", ".txt", ".model")
    return content_hash(folder, (file for file in folder.iterdir() if file.suffix in kinds))
