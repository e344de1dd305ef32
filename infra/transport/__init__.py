"""Authenticated transport between the members of a ceremony."""
