"""The board: an append-only log that a host keeps and operators verify, sign and follow."""
