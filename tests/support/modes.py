"""Runs a test in every kernel mode that this machine has."""

import pytest

from mpc_core.kernels.backend import SETTING, available_modes

every_mode = pytest.mark.parametrize("mode", available_modes())


def use(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make kernels run in this mode from here on."""
    monkeypatch.setenv(SETTING, mode)
