"""What a user writes in a release file, and what it means."""
