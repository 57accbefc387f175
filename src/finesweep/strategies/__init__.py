"""Fine-tuning strategies: which parameters train, and what is put into the model so that they can."""
