"""Who agreed to what: plans from the first draft to the last signature, and decisions."""
