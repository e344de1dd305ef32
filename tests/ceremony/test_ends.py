"""Parties that are told to stop while what they need is away."""

import json
import os
import signal
import subprocess

import pytest

from infra.network.places import Loopback
from infra.sandbox.commands import party_command
from infra.sandbox.options import SandboxOptions, open_ceremony
from infra.sandbox.warm import cache_folder, kernel_environment, warm_kernels

NOBODY = "127.0.0.1:1"


@pytest.mark.long
def test_an_operator_that_reaches_neither_temporal_nor_the_log_ends_when_it_is_told_to(tmp_path):
    folder, _ = open_ceremony(SandboxOptions(directory=tmp_path, identifier="one"))
    kernels = cache_folder()
    warm_kernels(kernels, lambda _: None)
    home, reach = folder.operator("op-01").path, Loopback().reach("op-01")
    with subprocess.Popen(
        party_command("operator", home, NOBODY, reach, board=NOBODY),
        stdout=subprocess.PIPE,
        env=os.environ | kernel_environment(kernels),
    ) as operator:
        assert json.loads(operator.stdout.readline())["event"] == "ready"
        operator.send_signal(signal.SIGTERM)
        assert operator.wait() == 3
