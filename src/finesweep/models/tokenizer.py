"""What tasks ask of a tokenizer."""

from typing import TYPE_CHECKING

from finesweep.config.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def check_tokenizer(tokenizer: "PreTrainedTokenizerBase", where: str, *, fast: bool, pad_with_end: bool) -> None:
    """See to it that a tokenizer can be worked with.

    Args:
        where: the key that named the tokenizer.
        fast: whether it has to tell where in a text a sub-word stands.
        pad_with_end: whether the end token may stand in for a missing padding token, as is usual for decoders.

    Raises:
        UserError: it has no vocabulary or no padding token, or no fast version where it needs one.
    """
    remedy = "choose a model that comes with a tokenizer.json, or put one into its folder"
    if fast and not tokenizer.is_fast:
        message = "the tokenizer has no fast version, which tells where in a text a sub-word stands"
        raise UserError(message, where=where, remedy=remedy)
    # Where its files are missing, transformers makes one without a single word.
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise UserError("the tokenizer has no vocabulary", where=where, remedy=remedy)
    if tokenizer.pad_token_id is None and pad_with_end and tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        remedy = "name one of its tokens as pad_token in tokenizer_config.json"
        raise UserError(
            "the tokenizer has no padding token, without which rows make no batch", where=where, remedy=remedy
        )


def prepare_for_words(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Have a tokenizer treat a word in a list like a word in a text.

    Only with a blank before it is it the same to a byte-level tokenizer. ``add_prefix_space=True`` sees to that for
    RoBERTa's, but not for those that are just a ``tokenizer.json`` to transformers, as ModernBERT's is.
    """
    from tokenizers import normalizers, pre_tokenizers

    backend = tokenizer.backend_tokenizer
    in_text = tokenizer("a a", add_special_tokens=False)["input_ids"]
    in_list = tokenizer(["a", "a"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    if in_text == in_list or "ByteLevel" not in str(backend.pre_tokenizer):
        return
    if isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel):
        backend.pre_tokenizer.add_prefix_space = True
    else:  # further down in a sequence the blank would come before each of the pieces
        blank, before = normalizers.Prepend(" "), backend.normalizer
        backend.normalizer = blank if before is None else normalizers.Sequence([before, blank])
