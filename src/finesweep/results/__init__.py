"""Results: the run record, scores and tables, figures, the report, the leaderboard."""
