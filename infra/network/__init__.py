"""Sandboxes over emulated lines: each party in a network namespace of its own, behind one link.

`model` says what wan.toml describes, `namespaces` gives every party its own network, `emulated`
joins them, by `netem` where the kernel has it and by the `relay` process elsewhere.
"""
