"""``reports.toml``: its tables, the templates of parameters, and the conditions of alerts."""
