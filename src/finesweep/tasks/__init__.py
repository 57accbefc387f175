"""Tasks: for each kind of problem, the way from rows to features, loss, predictions and scores."""
