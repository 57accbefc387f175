"""``report.html``: the page of a sweep, one file that opens offline."""
