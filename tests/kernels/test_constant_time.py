"""Compiled kernels take no branch, address or division from what they read."""

import importlib

import numba
import numpy as np
import pytest
from numba import int64, uint64, void

from tests.support.taint import compiled, leaks

WORDS = uint64[::1]
SMALL = (("assembly", "subtract_shifted_64"), ("roots", "_roots_64"), ("packing", "pack_64"))
KERNELS = (
    *SMALL,
    ("assembly", "subtract_shifted_128"),
    ("galois", "multiply_add_128"),
    ("galois", "scale_128"),
    ("openings", "_read_strip"),
    ("openings", "_find_roots"),
    ("packing", "pack_128"),
    ("prss", "whole"),
    ("prss_fused", "fold"),
    ("roots", "_roots_128"),
    ("words", "add_arrays"),
    ("words", "sub_arrays"),
)
"""Those of one signature that read nothing but coefficients, keys and streams."""


def leaks_of(module, name):
    kernel = getattr(importlib.import_module(f"mpc_core.kernels.{module}"), name)
    found = [compiled(kernel, signature) for signature in kernel.signatures]
    assert found
    return [leak for text in found for leak in leaks(text)]


@pytest.mark.parametrize(("module", "name"), SMALL)
def test_a_small_kernel_takes_the_same_steps_whatever_it_reads(module, name):
    assert leaks_of(module, name) == []


@pytest.mark.long
@pytest.mark.parametrize(("module", "name"), KERNELS[len(SMALL) :])
def test_a_kernel_takes_the_same_steps_whatever_it_reads(module, name):
    assert leaks_of(module, name) == []


# -- the check itself notices what it looks for ---------------------------------------------------


def branches(a, out):
    total = np.uint64(0)
    for k in range(a.shape[0]):
        if a[k] & np.uint64(1):
            total ^= a[k] * total + np.uint64(k)
            out[k] = total
    out[0] = total


def looks_up(a, out):
    for k in range(a.shape[0]):
        out[k] = out[np.int64(a[k] & np.uint64(7))]


def writes_there(a, out):
    for k in range(a.shape[0]):
        out[np.int64(a[k] & np.uint64(7))] = np.uint64(k)


def divides(a, out):
    for k in range(a.shape[0]):
        out[k] = np.uint64(1_000_003) % (a[k] | np.uint64(1))


def stops_early(a, out):
    for k in range(a.shape[0]):
        if a[k] != out[k]:
            return
        out[k] = np.uint64(k)


def adds(a, out):
    for k in range(a.shape[0]):
        out[k] += a[k] * np.uint64(3)


@pytest.mark.parametrize(
    ("kernel", "kinds"),
    [
        (branches, {"branch"}),
        (looks_up, {"address"}),
        (writes_there, {"address"}),
        (divides, {"branch", "division"}),
        (stops_early, {"branch"}),
        (adds, set()),
    ],
)
def test_what_depends_on_a_value_is_noticed(kernel, kinds):
    text = compiled(numba.njit(error_model="numpy")(kernel), void(WORDS, WORDS))
    assert {kind for kind, _ in leaks(text)} == kinds


def test_what_depends_on_a_length_is_not_a_secret():
    def sums(a, count, out):
        for k in range(count):
            if k % 2:
                out[k] = a[k]

    text = compiled(numba.njit(sums), void(WORDS, int64, WORDS))
    assert leaks(text) == []
