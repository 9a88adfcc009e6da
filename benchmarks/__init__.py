"""Commands that measure what the documentation quotes; see docs/benchmarks.md."""
