"""Which kernels run: what the CPU surely has, what was found right, and what is known."""

import pytest

from mpc_core.kernels import backend, selftest
from mpc_core.kernels.backend import SETTING, available_modes, kernel_mode
from mpc_core.protocol.errors import CeremonyError

ALL = backend.NEEDED["avx512"]


@pytest.fixture(autouse=True)
def nothing_remembered():
    backend._chosen.cache_clear()
    yield
    backend._chosen.cache_clear()


def pretend(monkeypatch, *, listed=ALL, compiled=ALL, agree=True):
    monkeypatch.delenv(SETTING, raising=False)
    monkeypatch.setattr(backend, "listed_features", lambda: frozenset(listed))
    monkeypatch.setattr(backend, "compiled_features", lambda: frozenset(compiled))
    monkeypatch.setattr(selftest, "fused_kernels_agree", lambda: agree)


def test_the_fastest_mode_is_chosen_where_everybody_lists_its_instructions(monkeypatch):
    pretend(monkeypatch)
    assert available_modes() == ("portable", "avx512")
    assert kernel_mode() == "avx512"


@pytest.mark.parametrize("missing", sorted(ALL))
@pytest.mark.parametrize("whose", ["listed", "compiled"])
def test_one_missing_instruction_set_makes_kernels_portable(monkeypatch, missing, whose):
    pretend(monkeypatch, **{whose: ALL - {missing}})
    assert kernel_mode() == "portable"


def test_the_environment_turns_named_instructions_off(monkeypatch):
    pretend(monkeypatch)
    monkeypatch.setenv(SETTING, "portable")
    assert kernel_mode() == "portable"


@pytest.mark.parametrize("wanted", ["fast", "Portable", "avx2"])
def test_an_unknown_mode_is_refused(monkeypatch, wanted):
    pretend(monkeypatch)
    monkeypatch.setenv(SETTING, wanted)
    with pytest.raises(CeremonyError, match="RF-KERNEL-001") as refusal:
        kernel_mode()
    assert "do not exist" in refusal.value.render()
    assert f"found     {wanted}" in refusal.value.render()


def test_a_mode_that_this_cpu_lacks_is_refused_though_asked_for(monkeypatch):
    pretend(monkeypatch, listed=())
    monkeypatch.setenv(SETTING, "avx512")
    with pytest.raises(CeremonyError, match=r"RF-KERNEL-001.*cannot run"):
        kernel_mode()


def test_kernels_that_compute_something_else_are_not_used(monkeypatch):
    pretend(monkeypatch, agree=False)
    with pytest.raises(CeremonyError, match="RF-KERNEL-002"):
        kernel_mode()


def test_processors_that_differ_count_for_what_all_of_them_have(monkeypatch, tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nflags : aes avx2 vaes\n\nprocessor : 1\nflags : aes avx2\n")
    monkeypatch.setattr(backend, "CPU_INFO", info)
    assert backend.listed_features() == {"aes", "avx2"}


def test_a_system_that_lists_nothing_gets_portable_kernels(monkeypatch, tmp_path):
    monkeypatch.setattr(backend, "CPU_INFO", tmp_path / "nothing")
    monkeypatch.delenv(SETTING, raising=False)
    assert kernel_mode() == "portable"


named = pytest.mark.skipif(
    "avx512" not in available_modes(), reason="this CPU lacks the instructions"
)


def flip_last(monkeypatch, name, where, of_result=lambda found: found):
    """Turn a bit of the last value that a step of the check finds for some ring."""
    right = getattr(selftest, name)

    def flipped(keys, *ring):
        found = right(keys, *ring)
        if ring == where:
            of_result(found).reshape(-1)[-1] ^= 1
        return found

    monkeypatch.setattr(selftest, name, flipped)


@named
def test_the_check_notices_a_wrong_key_stream(monkeypatch):
    assert selftest.fused_kernels_agree()
    flip_last(monkeypatch, "_expanded", ())
    assert not selftest.fused_kernels_agree()


@named
@pytest.mark.parametrize("ring", [(d, bits) for d in (3, 4) for bits in (64, 128)])
def test_the_check_notices_a_wrong_sum_in_every_ring(monkeypatch, ring):
    flip_last(monkeypatch, "_fused_sums", ring)
    assert not selftest.fused_kernels_agree()


@named
@pytest.mark.parametrize("bits", [64, 128])
@pytest.mark.parametrize("which", range(4), ids=["sums", "vector", "bits", "seen"])
def test_the_check_notices_what_a_kernel_of_four_operators_gets_wrong(monkeypatch, bits, which):
    flip_last(monkeypatch, "_quartet_fused", (bits,), lambda results: results[which])
    assert not selftest.fused_kernels_agree()


@named
@pytest.mark.parametrize("bits", [64, 128])
def test_what_is_compared_for_four_operators_is_not_empty(bits):
    assert all(found.any() for found in selftest._quartet_fused(selftest._keys(12), bits))
