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
        ("noise", 64): _element(39, 18, 8, 22, 37),
        ("noise", 128): _element(85, 30, 12, 45, 75),
        ("bits", 64): _element(39, 18, 8, 22, 37),
        ("bits", 128): _element(85, 30, 12, 45, 75),
        ("products", 64): _element(105, 17, 4, 22, 38),
        ("products", 128): _element(170, 25, 7, 40, 80),
        ("bodies", 64): _element(0, 26, 4, 30, 0),
        ("bodies", 128): _element(0, 32, 7, 41, 0),
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
    hash_byte=0.59 * _NS,
    write_byte=0.40 * _NS,
    keep_byte=1.2 * _NS,
    load_byte=1.2 * _NS,
    send_byte=1.2 * _NS,
    receive_byte=2.2 * _NS,
    export_byte=0.85 * _NS,
    setup=3e-3,
)
