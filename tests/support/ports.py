"""The ports of an operator's steps in memory, as drills use them."""

from infra.drill.board import MemoryBoard, MemoryLog, WouldWaitError
from infra.drill.clock import Clock
from infra.drill.peers import MemoryPeers
from infra.drill.stores import CpuMeter, MemoryBlobs, MemoryStagedBlob, MemoryStore

__all__ = [
    "Clock",
    "CpuMeter",
    "MemoryBlobs",
    "MemoryBoard",
    "MemoryLog",
    "MemoryPeers",
    "MemoryStagedBlob",
    "MemoryStore",
    "WouldWaitError",
]
