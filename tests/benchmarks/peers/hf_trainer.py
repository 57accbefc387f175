"""The Trainer of transformers with the defaults of its example for token classification, and its best options."""

import tempfile
import time

import torch
from datasets import Dataset
from rows import arguments, encoded, entity_f1, labels_of, read, tell
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)

#: All linear layers but the head, which trains as a whole.
_LORA = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear", "exclude_modules": ["classifier"]}


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--bucket", action="store_true", help="batches of sentences of like length")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--freeze", action="store_true", help="train the head alone")
    parser.add_argument("--lora", action="store_true", help="train low-rank updates of all linear layers")
    args = parser.parse_args()
    set_seed(args.seed)
    train, validation = read(args.train), read(args.validation)
    labels = labels_of(train)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForTokenClassification.from_pretrained(args.model, num_labels=len(labels))
    if args.freeze:
        model.base_model.requires_grad_(False)
    if args.lora:
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(task_type="TOKEN_CLS", **_LORA))
    sets = [Dataset.from_list([encoded(tokenizer, row, labels) for row in rows]) for rows in (train, validation)]
    grouped = {"train_sampling_strategy": "group_by_length"} if args.bucket else {}
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            folder, num_train_epochs=args.epochs, learning_rate=args.lr, seed=args.seed, bf16=args.bf16,
            per_device_train_batch_size=args.batch_size, per_device_eval_batch_size=args.batch_size,
            save_strategy="no", report_to=[], disable_tqdm=True, logging_strategy="no",
            use_cpu=not torch.cuda.is_available(), **grouped,
        )  # fmt: skip
        trainer = Trainer(
            model, settings, train_dataset=sets[0], processing_class=tokenizer,
            data_collator=DataCollatorForTokenClassification(tokenizer),
        )  # fmt: skip
        begun = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - begun
        said = trainer.predict(sets[1])
    f1 = entity_f1(said.label_ids.tolist(), said.predictions.argmax(-1).tolist(), labels)
    tell(len(train), args.epochs, seconds, f1)


if __name__ == "__main__":
    main()
