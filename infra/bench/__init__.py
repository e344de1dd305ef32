"""What the steps of the protocol cost on this machine: `ringforge bench`."""
