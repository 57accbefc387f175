"""Configuration: where conf/ is, how a job is composed, checked, named and built."""
