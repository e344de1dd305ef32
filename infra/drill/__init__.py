"""Drills: ceremonies that go wrong on purpose, to show that they come out right."""
