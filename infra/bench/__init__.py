"""What the steps of the protocol cost on this machine: `ringforge bench`."""

from infra.bench.command import bench_command

__all__ = ["bench_command"]
