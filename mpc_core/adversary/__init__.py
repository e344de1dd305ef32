"""Lying twins of honest steps, for tests and drills only."""
