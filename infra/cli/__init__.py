"""The command `ringforge`."""
