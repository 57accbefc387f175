"""What the methods of peft have in common: put in, freeze all else, take out or keep beside the base."""

import logging
import warnings
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from finesweep.config.fields import component
from finesweep.strategies.anatomy import head_modules
from finesweep.strategies.base import Purpose, Strategy

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

# peft imports bitsandbytes where it is installed, which warns of a package that speeds inference up.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


@component
class PeftMethod(Strategy):
    """A method of peft; a subclass gives its configuration."""

    @abstractmethod
    def config(self, model: "nn.Module", common: dict[str, Any]) -> Any:
        """peft's configuration. ``common`` holds what most of them take: the kind of problem, and the head to train.

        Raises:
            UserError: the model has not what it needs.
        """

    def apply(self, model: "nn.Module", purpose: Purpose) -> "nn.Module":
        from peft import get_peft_model  # takes seconds, and only these strategies need it

        common: dict[str, Any] = {"task_type": purpose.peft_type}
        if purpose.new_head:
            # Without its name here peft would neither train nor save a new head.
            common["modules_to_save"] = head_modules(model)
        # The adapter fits the weights that it was trained on, not what a branch of the hub will hold one day.
        commit = getattr(model.config, "_commit_hash", None)
        with warnings.catch_warnings():  # peft asks transformers 5 by a name that is to go
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing. is deprecated")
            return get_peft_model(model, self.config(model, common), revision=commit)

    def trainable(self, model: "nn.Module", epoch: int) -> dict[str, float]:
        """What peft has put in, and its copy of a new head."""
        prefix = getattr(getattr(model, "base_model", None), "prefix", "prompt_encoder.")  # lora_, ia3_, …
        parts = (prefix, ".modules_to_save.")
        return {name: 1.0 for name, _ in model.named_parameters() if any(part in name for part in parts)}

    def finished(self, model: "nn.Module", folder: "Path", base_is_shared: bool) -> "nn.Module":
        """The base with the change added to its weights, and the adapter itself in ``adapter/``; or the adapter alone,
        with the base in ``base/`` if nobody else has it (in 4 bits it could not be loaded and trained again)."""
        peft_model: Any = model
        if not self.merges:
            base = peft_model.get_base_model()
            base.config.save_pretrained(folder)  # it tells the size of the head
            if not base_is_shared and getattr(base, "quantization_method", None) is None:
                base.save_pretrained(folder / "base")
            return model
        if base_is_shared:
            # The vocabulary is as it was; left to itself, peft would ask the hub about it.
            peft_model.save_pretrained(folder / "adapter", save_embedding_layers=False)
        return self.merged(peft_model)

    def merged(self, peft_model: Any) -> "nn.Module":
        """The base alone, with the change added to its weights and the trained head in place of the old."""
        return peft_model.merge_and_unload()
