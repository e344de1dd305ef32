"""The memory of a process does not end up in files."""

import subprocess
import sys

import pytest

PROBE = """
import ctypes, resource, sys
from unittest.mock import patch
import infra.cli.main as cli
soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
assert ctypes.CDLL(None).prctl(3) == 1
with patch.object(cli, "app"):
    cli.main()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
def test_every_process_of_the_program_forbids_core_dumps_before_it_does_anything():
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=False
    )
    assert done.stdout == "(0, 0) 0\n", done.stderr
