"""Training: optimizers, schedules, the LightningModule, callbacks, checkpoints, and the runner that uses them all."""
