"""The stories: a release from the file to the last drained replica."""
