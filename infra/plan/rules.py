"""What makes a well-formed plan a sensible one, and how a bad one is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.enclave.insecure_software import SOFTWARE_ENCLAVE
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.plan import DESIGN_RANGE
from mpc_core.tfhe.parameters import DRILL_SET, lookup

if TYPE_CHECKING:
    from infra.plan.document import PlanDocument
    from infra.plan.sections import OperatorSection
    from mpc_core.protocol.plan import Plan

__all__ = ["DRILL_PARAMETERS", "check_document", "check_rules", "check_size", "malformed"]

RESERVED = frozenset({"coordinator"})
"""Names that nobody else can have."""

PARTICULARS = ("organisation", "site", "jurisdiction", "time_zone", "contact")
"""What a plan says of every operator, outside a sandbox."""

ALWAYS_SAID = ("decisions", "retention")
"""Sections that a plan has outside a sandbox, with enclaves and without."""

SAID_OF_ENCLAVES = ("kms_key", "storage")
"""What a plan says of every operator in an enclave: the key of its vault, and where that lies."""

DRILL_PARAMETERS = "drill-parameters"
"""The insecure shortcut without which a plan cannot have the parameter set of drills."""


def check_size(operators: int, threshold: int) -> None:
    """Check that so many operators can run a ceremony (PROTOCOL.md, "Model").

    Raises:
        CeremonyError: RF-PLAN-002 below n = 3t+1 or t = 1, RF-PLAN-003 above the design range.
    """
    if operators > DESIGN_RANGE:
        raise CeremonyError(
            "RF-PLAN-003",
            "the plan has more operators than the protocol is made for",
            expected=f"at most {DESIGN_RANGE} operators",
            found=f"{operators} operators",
            effect="nothing was started; the number of key sets grows as C(n, t)",
            next_step=f"choose --operators {DESIGN_RANGE} --threshold {(DESIGN_RANGE - 1) // 3}",
            runbook="start",
        )
    if threshold < 1 or operators < 3 * threshold + 1:
        best = max(1, (operators - 1) // 3)
        raise CeremonyError(
            "RF-PLAN-002",
            "too few operators for the number that may crash or lie",
            expected="n >= 3t + 1 operators and t >= 1",
            found=f"n = {operators}, t = {threshold}",
            effect="nothing was started",
            next_step=f"choose --operators {max(operators, 3 * best + 1)} --threshold {best}",
            runbook="start",
        )


def check_rules(plan: Plan) -> None:
    """Check what the fields of a plan owe each other.

    Raises:
        CeremonyError: RF-PLAN-001 for an unknown parameter set, RF-PLAN-002 and RF-PLAN-003 for
            the number of operators, RF-PLAN-004 for names, indices and keys, RF-PLAN-005 for an
            insecure shortcut outside a sandbox, RF-PLAN-013 for test openings of a secure set,
            RF-PLAN-014 for the parameter set of drills in any other plan, RF-PLAN-017 for
            decisions that too few or too many have to sign, RF-PLAN-019 for a test root where
            documents of real enclaves are asked for, or none where they are not.
    """
    _check_tests(plan, secure=not lookup(plan.parameters).insecure)
    check_size(plan.count, plan.threshold)
    _check_indices(plan)
    _check_decisions(plan)
    if plan.insecure and not plan.sandbox:
        raise CeremonyError(
            "RF-PLAN-005",
            "the plan takes an insecure shortcut outside a sandbox",
            expected="insecure = []",
            found=f"insecure = {list(plan.insecure)}",
            effect="the plan is refused: whoever knows the seed would know the key",
            next_step="do not sign this plan",
            runbook="start",
        )
    _check_drill(plan)
    _check_root(plan)
    if len(set(plan.insecure)) != len(plan.insecure):
        raise malformed("every insecure shortcut named once", f"insecure = {list(plan.insecure)}")


def malformed(expected: str, found: str, code: str = "RF-PLAN-006") -> CeremonyError:
    """Return the error for bytes that are no plan."""
    return CeremonyError(
        code,
        "plan.toml is not a plan",
        expected=expected,
        found=found,
        effect="the plan is refused; nothing was started",
        next_step="fetch plan.toml again from whoever made it; do not edit a plan by hand",
        runbook="start",
    )


def _check_drill(plan: Plan) -> None:
    """Refuse keys that a child could guess, but for drills, and drills with any other set."""
    drill = DRILL_PARAMETERS in plan.insecure
    if drill != (plan.parameters == DRILL_SET):
        raise CeremonyError(
            "RF-PLAN-014",
            f"the parameter set {DRILL_SET} is for drills, and drills have no other",
            expected=f'insecure = ["{DRILL_PARAMETERS}"] with it, and only with it',
            found=f"parameters = {plan.parameters}, insecure = {list(plan.insecure)}",
            effect="the plan is refused; nothing was started",
            next_step="choose another set with --parameters",
            runbook="start",
        )


def _check_root(plan: Plan) -> None:
    """Refuse a test root but for software in the place of enclaves, and such software without."""
    rules = plan.attestation
    if rules is None or bool(rules.insecure_root) == (SOFTWARE_ENCLAVE in plan.insecure):
        return
    raise CeremonyError(
        "RF-PLAN-019",
        "the plan does not say under which root attestation documents count",
        expected=f'insecure = ["{SOFTWARE_ENCLAVE}"] with insecure_root, or neither of them',
        found=f"insecure = {list(plan.insecure)}, insecure_root = {rules.insecure_root.hex()!r}",
        effect="the plan is refused; nothing was started",
        next_step="do not sign this plan; ask whoever made it for a corrected one",
        runbook="start",
    )


def _check_tests(plan: Plan, *, secure: bool) -> None:
    """Refuse test openings that the flood noise cannot hide (PROTOCOL.md, "Assembly")."""
    tests = plan.tests
    if secure and (tests.plaintexts or tests.decrypt_openings):
        raise CeremonyError(
            "RF-PLAN-013",
            f"the plan opens test ciphertexts under the secure parameter set {plan.parameters}",
            expected="no plaintexts and no decrypt_openings: a flood of 2^40 times the noise takes "
            "noise squashing first, which this release does not do",
            found=f"{len(tests.plaintexts)} plaintexts, {tests.decrypt_openings} openings",
            effect="the plan is refused; nothing was started",
            next_step="leave both empty; the zero audit checks every body",
            runbook="start",
        )


def _check_indices(plan: Plan) -> None:
    indices = [operator.index for operator in plan.operators]
    if indices != list(range(1, plan.count + 1)):
        raise _identity_error("operators in the order of their indices 1..n", f"indices {indices}")


def _check_decisions(plan: Plan) -> None:
    """Refuse a decision that t liars could take, or that nobody ever could.

    Nobody signs that it is itself written off, and writing off rests on n-t clocks.
    """
    rules = plan.decisions
    if rules is None:
        return
    most, least = plan.count, plan.threshold + 1
    allowed = {
        "write_off": (rules.write_off, plan.quorum, most - 1),
        "extension": (rules.extension, least, most),
        "pause": (rules.pause, least, most),
        "abort": (rules.abort, least, most),
    }
    for name, (quorum, low, high) in allowed.items():
        if not low <= quorum <= high:
            raise CeremonyError(
                "RF-PLAN-017",
                f"the plan lets too few or too many operators decide on {name}",
                expected=f"{low} to {high} of {plan.count} operators",
                found=f"{name} = {quorum}",
                effect="the plan is refused; nothing was started",
                next_step="ask whoever made the plan for a corrected one",
                runbook="governance",
            )


def check_document(document: PlanDocument) -> None:
    """Check what a plan says of its parties.

    Raises:
        CeremonyError: RF-PLAN-004 if two of them cannot be told apart, RF-PLAN-015 if second
            identity keys are missing, RF-PLAN-016 if an operator's particulars are, RF-PLAN-021 if
            it is not clear who speaks for whom, RF-PLAN-022 if something that protects is left out
            without a word.
    """
    _check_left_out(document)
    _check_parties(document)
    _check_representatives(document)
    _check_second_keys(document)
    if not document.sandbox:
        for operator in document.operators:
            _check_particulars(operator)


def _check_left_out(document: PlanDocument) -> None:
    """Refuse a plan that turns a check off by what it does not say (runbooks/adr/0037).

    Security: without a measurement nobody proves anything, no line is attested and no vault sealed.
        Whoever wants that says so in a line of its own, which everybody signs.
    """
    if document.without_enclaves and document.measurement:
        raise _left_out("without_enclaves or [measurement]", "both of them")
    if document.sandbox:
        return
    missing = [f"[{name}]" for name in ALWAYS_SAID if getattr(document, name) is None]
    if not document.without_enclaves:
        if document.measurement is None:
            missing.append("[measurement]")
        missing += [
            f"{name} of {operator.name}"
            for operator in document.operators
            for name in SAID_OF_ENCLAVES
            if getattr(operator, name) is None
        ]
    if missing:
        raise _left_out(
            "[decisions], [retention], [measurement], and kms_key and storage of every operator; "
            "the last three may be left out where without_enclaves = true says so",
            f"no {', '.join(missing)}",
        )


def _left_out(expected: str, found: str) -> CeremonyError:
    return CeremonyError(
        "RF-PLAN-022",
        "the plan leaves out what protects a ceremony, and does not say that it does",
        expected=expected,
        found=found,
        effect="the plan is refused: what is left out would be a check that nobody makes",
        next_step="complete the answers file, or say ringforge plan new --without-enclaves",
        runbook="governance",
    )


def _check_parties(document: PlanDocument) -> None:
    names = document.party_names
    lists = (
        document.operators,
        document.deputies,
        document.representatives,
        document.auditors,
    )
    keys = [party.identity_key for parties in lists for party in parties]
    keys.append(document.coordinator.identity_key)
    reserved = next((name for name in names if name in RESERVED and names.count(name) > 1), None)
    if reserved is not None:
        raise _identity_error("a name that means nothing else", f"a party named {reserved}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise _identity_error("every party under a name of its own", f"{twice} twice")
    if len(set(keys)) != len(keys):
        raise _identity_error("one identity key for each party", "the same key at two parties")


def _check_representatives(document: PlanDocument) -> None:
    """Refuse a plan under which nobody, or two, could speak for an operator.

    The identity of an operator in a real enclave cannot be used by people.
    """
    operators = [each.name for each in document.operators]
    represented = [each.operator for each in document.representatives]
    enclosed = document.measurement is not None and not document.sandbox
    missing = [name for name in operators if name not in represented] if enclosed else []
    if set(represented) <= set(operators) and len(set(represented)) == len(represented):
        if not missing:
            return
        found = f"nobody for {', '.join(missing)}"
    else:
        found = f"representatives of {', '.join(represented)}"
    raise CeremonyError(
        "RF-PLAN-021",
        "the plan does not say who speaks for which operator",
        expected="one representative for each operator in an enclave, and none for anybody else",
        found=found,
        effect="the plan is refused: its people could decide nothing, or contradict each other",
        next_step="ringforge plan new --representative OPERATOR=CARD for each of them",
        runbook="governance",
    )


def _check_second_keys(document: PlanDocument) -> None:
    """Refuse a plan that could be signed by half, but for older plans of sandboxes."""
    keys = document.ml_dsa_keys
    if keys is None and document.sandbox:
        return
    found = set(keys or ())
    wrong = sorted(found ^ set(document.party_names))
    if wrong:
        raise _second_key_error(f"another set of names: {', '.join(wrong)}")
    if keys is not None and len(set(keys.values())) != len(keys):
        raise _second_key_error("the same key at two parties")


def _second_key_error(found: str) -> CeremonyError:
    return CeremonyError(
        "RF-PLAN-015",
        "the plan does not name an ML-DSA-65 key of every party",
        expected="[ml_dsa_keys] with one key for each party",
        found=found,
        effect="the plan is refused: its signatures would not be hybrid",
        next_step="ask the parties for what `ringforge plan identity` printed",
        runbook="governance",
    )


def _check_particulars(operator: OperatorSection) -> None:
    missing = [name for name in PARTICULARS if getattr(operator, name) is None]
    if missing:
        raise CeremonyError(
            "RF-PLAN-016",
            f"the plan does not say who operator {operator.name} is",
            expected=", ".join(PARTICULARS),
            found=f"no {', '.join(missing)}",
            effect="the plan is refused: people must know whose signatures count",
            next_step="ask whoever made the plan for a complete one",
            runbook="governance",
            operator=operator.name,
        )


def _identity_error(expected: str, found: str) -> CeremonyError:
    return CeremonyError(
        "RF-PLAN-004",
        "the parties of the plan cannot be told apart",
        expected=expected,
        found=found,
        effect="the plan is refused; nothing was started",
        next_step="ask whoever made the plan for a corrected one",
        runbook="start",
    )
