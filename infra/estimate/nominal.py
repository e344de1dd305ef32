"""Costs of a typical machine, for proportions: how much work one batch is beside another.

Progress measures its own speed, so only the quotients count; they differ little between machines
and committees. Measured with `measure_costs` on one core of a server CPU at about 4 GHz, for the
set `mainnet` and four operators.
"""

from __future__ import annotations

from infra.estimate.costs import Costs, ElementCosts

__all__ = ["NOMINAL"]

_NS = 1e-9


def _element(share: float, open_: float, check: float, answer: float, keep: float) -> ElementCosts:
    """Return costs that are given in nanoseconds."""
    return ElementCosts(share * _NS, open_ * _NS, check * _NS, answer * _NS, keep * _NS)


NOMINAL = Costs(
    elements={
        ("noise", 64): _element(305, 138, 14, 56, 96),
        ("noise", 128): _element(470, 213, 21, 100, 224),
        ("bits", 64): _element(305, 138, 14, 56, 96),
        ("bits", 128): _element(470, 213, 21, 100, 224),
        ("products", 64): _element(181, 75, 2, 45, 73),
        ("products", 128): _element(295, 137, 4, 91, 129),
        ("bodies", 64): _element(0, 88, 2, 43, 0),
        ("bodies", 128): _element(0, 137, 5, 86, 0),
    },
    rows={
        1: 740e-6,
        2: 16e-6,
        3: 150e-6,
        4: 4e-6,
        5: 100e-6,
        6: 4e-6,
        7: 380e-6,
        8: 4e-6,
        9: 4e-6,
        10: 320e-6,
        11: 250e-6,
        12: 100e-6,
    },
    hash_byte=0.58 * _NS,
    write_byte=0.27 * _NS,
    keep_byte=0.7 * _NS,
    load_byte=0.9 * _NS,
    send_byte=1.7 * _NS,
    receive_byte=2.7 * _NS,
    export_byte=0.76 * _NS,
    setup=2e-3,
)
