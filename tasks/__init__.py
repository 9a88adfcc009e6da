"""One outward step each: a task with its retries and timeout around one call."""
