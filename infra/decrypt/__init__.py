"""`ringforge decrypt`: the operators of an insecure sandbox decrypt a ciphertext list together.

Read `command`, then `record`: what is decrypted already, and what may still be, stands on the log.
"""

from __future__ import annotations

from infra.decrypt.command import decrypt_command

__all__ = ["decrypt_command"]
