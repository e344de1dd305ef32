"""How a drill gives the process of a sandbox's operator an enclave that is not what it should be.

The operator opens its vault with the honest module, as one whose keys were stolen or given away,
and shows the others the false one: what its own key service would refuse is left to its peers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.drill.false_enclaves import FALSE_ENCLAVES
from infra.enclave.insecure_software import Authority, check_software_allowed

if TYPE_CHECKING:
    from infra.homes import Home
    from infra.party.enclave import Enclave

__all__ = ["insecurely_replaced"]


def insecurely_replaced(honest: Enclave, home: Home) -> Enclave:
    """Return the false enclave that the home's lie names, or the honest one for any other lie.

    Raises:
        CeremonyError: RF-ATTEST-011 if the plan is no sandbox's without enclaves.
    """
    check_software_allowed(honest.plan)
    false = FALSE_ENCLAVES.get(home.insecure_lie)
    return honest if false is None else false.made(honest, Authority.load(home.insecure_enclave))
