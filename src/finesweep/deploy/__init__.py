"""Deploy: use a finished run to predict and to score other data."""
