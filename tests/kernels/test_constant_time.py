"""Compiled kernels take no branch, address or division from secrets that they read."""

import importlib
import inspect
import pkgutil

import numba
import numpy as np
import pytest
from numba import int64, uint8, uint64, void
from numba.core.dispatcher import Dispatcher

from mpc_core import kernels
from mpc_core.kernels.scalars import load_word
from tests.support.taint import compiled, leaks

WORDS = uint64[::1]
SMALL = (("assembly", "subtract_shifted_64"), ("roots", "_roots_64"), ("packing", "pack_64"))
KERNELS = (
    *SMALL,
    ("assembly", "subtract_shifted_128"),
    ("challenge", "_move_on"),
    ("fft", "add_products"),
    ("fft", "transform"),
    ("galois", "multiply_add_64"),
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
"""Those that read nothing but coefficients, keys, streams, and roots of unity."""

DEGREES, WIDTHS = ((3,), (4,)), ((64,), (128,))
BOTH = tuple(degree + width for degree in DEGREES for width in WIDTHS)
PLACES, OPENED = ("places[]", "mask_places[]"), ("v", "width")
KEYS = ("keys[]", "mask_keys[]", "places[]")
MADE = (
    ("bits", "vector_writer", BOTH, {}, ()),
    ("openings", "bit_adder", BOTH, {}, OPENED),
    ("prss", "buffer_adder", DEGREES, {}, ()),
    ("prss", "settler", BOTH, {"fused": False}, ()),
    ("prss", "settler", BOTH, {"fused": True}, ()),
    ("prss_fused", "stream_adder", DEGREES, {}, ("runs[]",)),
    ("quartet", "quartet_adder", WIDTHS, {}, PLACES),
    ("quartet_fused", "bit_encipherer", WIDTHS, {}, (*KEYS, *OPENED)),
    ("quartet_fused", "quartet_encipherer", WIDTHS, {}, KEYS),
    ("quartet_fused", "vector_encipherer", WIDTHS, {}, KEYS),
    ("quartet_tiles", "bit_summer", WIDTHS, {}, (*PLACES, *OPENED)),
    ("quartet_tiles", "vector_summer", WIDTHS, {}, PLACES),
    ("sha256", "leaf_hasher", ((),), {}, ()),
)
"""What makes kernels, of which arguments, and which arguments of theirs hold nothing secret.

Tables of addresses and of factors follow from plan and operator; v is opened. What lies where an
address of a table points is a secret.
"""

BESIDE_TABLES = (
    ("aes", "expand", ((uint64,) * 4,), ()),
    ("aes", "write_schedules", ((uint8[:, ::1], uint64, uint8[:, ::1]),), ()),
    ("challenge", "_settle", (), ("places[]",)),
    ("challenge", "add_selected", (), ("stream[]",)),
    ("decode", "combine", (), ("sources[]", "factors[]", "starts[]", "inverse[]")),
    ("openings", "scan", (), OPENED),
)
"""Other kernels: signatures, where they have none of their own, and what holds nothing secret."""


def leaks_of(kernel, signatures=(), public=()):
    found = [compiled(kernel, signature) for signature in signatures or kernel.signatures]
    assert found
    return [leak for text in found for leak in leaks(text, public)]


def named(module, name):
    return getattr(importlib.import_module(f"mpc_core.kernels.{module}"), name)


@pytest.mark.parametrize(("module", "name"), SMALL)
def test_a_small_kernel_takes_the_same_steps_whatever_it_reads(module, name):
    assert leaks_of(named(module, name)) == []


@pytest.mark.long
@pytest.mark.parametrize(("module", "name"), KERNELS[len(SMALL) :])
def test_a_kernel_takes_the_same_steps_whatever_it_reads(module, name):
    assert leaks_of(named(module, name)) == []


def test_sums_of_streams_take_the_same_steps_whatever_the_streams_say():
    kernel = named("quartet", "quartet_adder")(64)
    assert leaks_of(kernel, public=PLACES) == []
    assert {kind for kind, _ in leaks_of(kernel)} == {"address"}


@pytest.mark.long
@pytest.mark.parametrize(("module", "maker", "given", "more", "public"), MADE)
def test_a_kernel_that_was_made_takes_the_same_steps_whatever_it_reads(
    module, maker, given, more, public
):
    for arguments in given:
        kernel = named(module, maker)(*arguments, **more)
        assert leaks_of(kernel, public=public) == [], arguments


@pytest.mark.long
@pytest.mark.parametrize(("module", "name", "signatures", "public"), BESIDE_TABLES)
def test_a_kernel_beside_tables_takes_the_same_steps_whatever_it_reads(
    module, name, signatures, public
):
    assert leaks_of(named(module, name), signatures, public) == []


def test_every_kernel_is_looked_at():
    signed, made = set(), set()
    for found in pkgutil.iter_modules(kernels.__path__):
        module = importlib.import_module(f"{kernels.__name__}.{found.name}")
        for name, each in vars(module).items():
            if getattr(each, "__module__", "") != module.__name__:
                continue
            # Those without a signature of their own go into others.
            if isinstance(each, Dispatcher) and not each._can_compile:
                signed.add((found.name, name))
            elif hasattr(each, "cache_parameters") and "njit(" in inspect.getsource(each):
                made.add((found.name, name))
    assert made == {each[:2] for each in MADE}
    assert signed <= {*KERNELS, *(each[:2] for each in BESIDE_TABLES)}


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


def looks_up_where_a_table_says(table, out):
    for k in range(out.shape[0]):
        out[k] += table[np.int64(table[k])]


def looks_up_what_lies_there(table, out):
    for k in range(table.shape[0]):
        out[k] = load_word(64, table[k])


def branches_on_what_lies_there(table, out):
    for k in range(table.shape[0]):
        if load_word(64, table[k]) & np.uint64(1):
            out[k] = out[k] * out[0] + np.uint64(k)
            out[0] += out[k]


def follows_an_address_that_lies_there(table, out):
    for k in range(table.shape[0]):
        out[k] = load_word(64, load_word(64, table[k]))


def keeps_and_branches(table, out):
    kept = np.empty(64, np.uint64)
    for k in range(64):
        kept[k] = out[k]
    for k in range(64):
        if kept[np.int64(table[k])] & np.uint64(1):
            out[k] = out[k] * out[0] + np.uint64(k)
            out[0] += out[k]


def moves_on_and_branches(table, out):
    place = table[0]
    for k in range(table.shape[0]):
        place += np.uint64(8)
        if load_word(64, place) == np.uint64(k):
            out[k] = out[0] * np.uint64(k)
            out[0] += out[k]


@pytest.mark.parametrize(
    ("kernel", "public", "kinds"),
    [
        (looks_up_where_a_table_says, ("table[]",), set()),
        (looks_up_where_a_table_says, (), {"address"}),
        (looks_up_what_lies_there, ("table[]",), set()),
        (branches_on_what_lies_there, ("table[]",), {"branch"}),
        (follows_an_address_that_lies_there, ("table[]",), {"address"}),
        (keeps_and_branches, ("table[]",), {"branch"}),
        (moves_on_and_branches, ("table[]",), {"branch"}),
    ],
)
def test_only_what_a_public_table_holds_itself_is_public(kernel, public, kinds):
    text = compiled(numba.njit(error_model="numpy")(kernel), void(WORDS, WORDS))
    assert {kind for kind, _ in leaks(text, public)} == kinds


def test_what_depends_on_a_length_is_not_a_secret():
    def sums(a, count, out):
        for k in range(count):
            if k % 2:
                out[k] = a[k]

    text = compiled(numba.njit(sums), void(WORDS, int64, WORDS))
    assert leaks(text) == []
