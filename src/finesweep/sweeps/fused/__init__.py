"""Runs of a sweep that train as one."""
