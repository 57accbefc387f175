"""The training loop of the tutorials: every sentence padded to 128 sub-words, float32, AdamW."""

import time

import torch
from rows import arguments, encoded, entity_f1, labels_of, read, tell
from torch.utils.data import DataLoader
from transformers import AutoModelForTokenClassification, AutoTokenizer, default_data_collator


def main() -> None:
    args = arguments(__doc__ or "").parse_args()
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train, validation = read(args.train), read(args.validation)
    labels = labels_of(train)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForTokenClassification.from_pretrained(args.model, num_labels=len(labels)).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    features, held_out = (
        [encoded(tokenizer, row, labels, padding="max_length") for row in rows] for rows in (train, validation)
    )
    begun = time.perf_counter()
    model.train()
    for _ in range(args.epochs):
        for batch in DataLoader(features, args.batch_size, shuffle=True, collate_fn=default_data_collator):
            loss = model(**{key: value.to(device) for key, value in batch.items()}).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - begun
    model.eval()
    gold, predicted = [], []
    with torch.no_grad():
        for batch in DataLoader(held_out, 64, collate_fn=default_data_collator):
            inputs = {key: batch[key].to(device) for key in ("input_ids", "attention_mask")}
            predicted += model(**inputs).logits.argmax(-1).tolist()
            gold += batch["labels"].tolist()
    tell(len(train), args.epochs, seconds, entity_f1(gold, predicted, labels))


if __name__ == "__main__":
    main()
