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
        ("noise", 64): _element(33, 18, 3, 14, 26),
        ("noise", 128): _element(72, 30, 6, 24, 56),
        ("bits", 64): _element(33, 18, 3, 14, 26),
        ("bits", 128): _element(72, 30, 6, 24, 56),
        ("products", 64): _element(101, 18, 5, 14, 37),
        ("products", 128): _element(127, 26, 9, 24, 64),
        ("bodies", 64): _element(0, 23, 5, 14, 0),
        ("bodies", 128): _element(0, 30, 9, 24, 0),
    },
    rows={
        1: 450e-6,
        2: 22e-6,
        3: 170e-6,
        4: 5e-6,
        5: 130e-6,
        6: 5e-6,
        7: 370e-6,
        8: 5e-6,
        9: 5e-6,
        10: 320e-6,
        11: 270e-6,
        12: 130e-6,
    },
    hash_byte=0.41 * _NS,
    write_byte=0.35 * _NS,
    keep_byte=0.75 * _NS,
    load_byte=1.0 * _NS,
    send_byte=1.2 * _NS,
    receive_byte=2.0 * _NS,
    export_byte=0.73 * _NS,
    sync_byte=2.3 * _NS,
    setup=3e-3,
)
