"""Which strategy does not fit which model and task: one table, asked before anything loads and once more after.

Each entry was measured with peft 0.21 and transformers 5.23 on a small model of the architecture; a slow test measures
them again. What is not in the table fits.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Case:
    """What a strategy meets; in the table None stands for anything.

    Attributes:
        kind: encoder, decoder or encoder-decoder.
        architecture: transformers' model type.
        peft_type: peft's name for the problem, ``-`` where it has none.
        new_head: whether the task's head starts at random.
    """

    kind: str | None = None
    architecture: str | None = None
    peft_type: str | None = None
    new_head: bool | None = None

    def covers(self, other: "Case") -> bool:
        return all(getattr(self, f.name) in (None, getattr(other, f.name)) for f in fields(self))


_NO_BIASES = ("modernbert", "llama", "mistral", "qwen3", "gemma", "gemma2", "gemma3_text", "t5", "mt5")

#: (strategy, case, why it does not fit and what would)
MISFITS: tuple[tuple[str, Case, str], ...] = (
    ("frozen", Case(new_head=False), "trains a new head alone, and this task has none. Use lora, bitfit or top_layers"),
    *(("bitfit", Case(architecture=name), f"trains biases, and {name} has none. Use lora") for name in _NO_BIASES),
    ("prompt_tuning", Case(peft_type="-"), "is not there in peft for this task. Use lora"),
    ("prefix_tuning", Case(peft_type="-"), "is not there in peft for this task. Use lora"),
    (
        "prompt_tuning", Case(architecture="gpt2", peft_type="CAUSAL_LM"),
        "makes positions that GPT-2 does not have when it writes for several texts at once. Use prefix_tuning",
    ),
    ("prefix_tuning", Case(kind="encoder"), "needs past keys and values, which encoders do not take. Use lora"),
    *(
        (name, Case(kind="decoder", peft_type="SEQ_CLS"), "loses the last token that a decoder classifies by. Use lora")
        for name in ("prompt_tuning", "prefix_tuning")
    ),
)  # fmt: skip


def misfit(strategy: str, kind: str, architecture: str, peft_type: str | None, new_head: bool) -> str | None:
    """Why a strategy does not fit; None where it does, as far as is known."""
    case = Case(kind, architecture, peft_type or "-", new_head)
    return next((why for name, bad, why in MISFITS if name == strategy and bad.covers(case)), None)
