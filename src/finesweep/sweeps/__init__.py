"""Sweeps: many jobs from one command, checked before the first starts, summed up after the last."""
