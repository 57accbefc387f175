"""Translation: a sentence in another language, scored by BLEU and chrF."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from finesweep.config.errors import UserError
from finesweep.config.fields import component
from finesweep.results.tables import ReportTable, Scores
from finesweep.tasks.base import Feature, Frame, Row
from finesweep.tasks.text_to_text import TextToText


@component
class Translation(TextToText):
    """Scored by sacreBLEU (Post 2018, https://aclanthology.org/W18-6319), from 0 to 100 as is usual for these two.

    Attributes:
        source_language, target_language: codes for tokenizers that know several (``de_DE``, ``deu_Latn``); null for
            those that do not.
        tokenize: how sacreBLEU parts words: ``13a``, ``zh``, ``ja-mecab``, ``char``, …
    """

    source_language: str | None
    target_language: str | None
    tokenize: Literal["13a", "intl", "zh", "char", "none", "ja-mecab", "ko-mecab", "flores200"]

    metric_names: ClassVar[tuple[str, ...]] = ("loss", "bleu", "chrf")

    def encode(self, rows: Sequence[Row], frame: Frame) -> list[Feature]:
        for attribute, code in (("src_lang", self.source_language), ("tgt_lang", self.target_language)):
            if code is not None:
                if not hasattr(frame.tokenizer, attribute):
                    raise UserError("the model's tokenizer knows no languages", where="task.source_language")
                setattr(frame.tokenizer, attribute, code)
        return super().encode(rows, frame)

    def writing(self, frame: Frame) -> dict[str, Any]:
        if self.target_language is None:
            return {}
        return {"forced_bos_token_id": frame.tokenizer.convert_tokens_to_ids(self.target_language)}

    def score(self, rows: Sequence[Row], predictions: Sequence[Row], loss: float) -> Scores:
        from sacrebleu.metrics import BLEU, CHRF  # takes a moment, and nothing else needs it

        texts = [row["prediction"] for row in predictions]
        references = [[row["target"] for row in rows]]
        bleu, chrf = BLEU(tokenize=self.tokenize), CHRF()
        scores = {"bleu": bleu.corpus_score(texts, references), "chrf": chrf.corpus_score(texts, references)}
        note = f"sacreBLEU: {bleu.get_signature()}; chrF: {chrf.get_signature()}"
        table = ReportTable(
            "Translations", note, ["measure", "score"], [[name, round(s.score, 2)] for name, s in scores.items()]
        )
        return Scores({name: float(score.score) for name, score in scores.items()}, [table])
