"""How the embedded tiny models' files are made, but for their weights: ``python -m finesweep.models.tiny`` writes them.

The weights come from ``finesweep train experiment=pretrain_tiny``; see :func:`keep_weights`.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import yaml
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, LlamaConfig, PretrainedConfig, PreTrainedTokenizerFast, T5Config

from finesweep.data.demo.world import make_world
from finesweep.data.demo.writing import text, translation
from finesweep.results.record import RunRecord

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = 2000
_START = "▁"
_HERE = Path(__file__).parent


def build(root: Path = _HERE) -> None:
    """Write tokenizer and configuration of all three models into folders of ``root``.

    They share one cased WordPiece vocabulary, learned from texts about the known half of another world than the demo's.
    """
    world = make_world(seed=1)
    texts = [row["text"] for row in text(world, 8000, seed=1, unseen=0.0)]
    texts += [row["target"] for row in translation(world, 2000, seed=1, unseen=0.0)]
    vocabulary = {piece: number for number, piece in enumerate(_word_pieces(texts))}
    pad, _, cls, sep, _ = range(len(SPECIAL))  # special tokens come first in the vocabulary
    common = {"vocab_size": len(vocabulary), "pad_token_id": pad, "bos_token_id": cls, "eos_token_id": sep}
    encoder = BertConfig(**common, hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=256)
    decoder = LlamaConfig(
        **common, hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=256,
        max_position_embeddings=512, tie_word_embeddings=True,
    )  # fmt: skip
    both = T5Config(
        **common, d_model=128, num_layers=2, num_heads=2, d_kv=64, d_ff=256, feed_forward_proj="gated-gelu",
        decoder_start_token_id=pad, tie_word_embeddings=True,
    )  # fmt: skip
    _save(root / "tiny_files", vocabulary, encoder, processors.BertProcessing(("[SEP]", sep), ("[CLS]", cls)))
    _save(root / "tiny_causal_files", vocabulary, decoder, None)
    ending = processors.TemplateProcessing("$A [SEP]", "$A [SEP] $B [SEP]", [("[SEP]", sep)])
    _save(root / "tiny_seq2seq_files", vocabulary, both, ending)


def _save(folder: Path, vocabulary: dict[str, int], config: PretrainedConfig, specials: Any) -> None:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    if specials is not None:
        tokenizer.post_processor = specials
    names: dict[str, Any] = {"cls_token": "[CLS]", "sep_token": "[SEP]"}
    if isinstance(config, BertConfig):
        names |= {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}
    else:
        names |= {"bos_token": "[CLS]", "eos_token": "[SEP]"}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=512, pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]",
        **names,
    ).save_pretrained(folder)  # fmt: skip
    config.save_pretrained(folder)


def keep_weights(run: Path, root: Path = _HERE) -> None:
    """Put the weights of a pretraining run beside the configuration of the model that it trained."""
    record = RunRecord.read(run)
    values = yaml.safe_load((record.folder / "config.yaml").read_text(encoding="utf-8"))
    folder = root / f"{values['model']['name']}_files"
    shutil.copyfile(record.folder / "model" / "model.safetensors", folder / "model.safetensors")


def _word_pieces(texts: list[str]) -> list[str]:
    """The vocabulary, the same each time: :class:`WordPieceTrainer` breaks ties between pieces at random.

    Byte-pair encoding does not. Words get a sign where they start, and the pieces without it become WordPiece's ``##``.
    """
    bpe = Tokenizer(models.BPE())
    start = pre_tokenizers.Metaspace(_START, prepend_scheme="always")
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), start])
    bpe.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=VOCABULARY, show_progress=False))
    numbers = bpe.get_vocab()
    learned = [piece for piece in sorted(numbers, key=numbers.__getitem__) if len(piece) > 1]
    # Every printable ASCII character is in, first in a word or not, so that no text of the demo's kind is unknown.
    alphabet = [chr(code) for code in range(33, 127)]
    pieces = [*SPECIAL, *alphabet, *(f"##{character}" for character in alphabet)]
    pieces += [piece.removeprefix(_START) if piece.startswith(_START) else f"##{piece}" for piece in learned]
    return list(dict.fromkeys(pieces))[:VOCABULARY]


if __name__ == "__main__":
    if len(sys.argv) == 1:
        build()
    for run in sys.argv[1:]:
        keep_weights(Path(run))
