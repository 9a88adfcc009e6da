"""Windows of access logs, counted by the KQL texts on DuckDB; below every adapter."""
