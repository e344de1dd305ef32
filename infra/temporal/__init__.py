"""The Temporal server and how to reach it."""
