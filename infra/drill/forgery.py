"""Orders that are forged: by the coordinator itself, or by who can reach the operators' queues.

Each goes through the checks of a real one. What the coordinator of this plan did not sign, word for
word, must not be carried out; what it did sign says only when, however senseless it is.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from temporalio.exceptions import ApplicationError, CancelledError

from activities.orders import OperatorActivities, batch_line, statement_line, step_line
from infra.board import wire
from infra.drill.board import WouldWaitError
from infra.drill.site import parties_elsewhere
from infra.plan import COORDINATOR
from mpc_core.protocol.entries import Close
from workflows.contracts import BatchOrder, Draft, StepOrder

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from activities.steps import Steps
    from infra.drill.operator import DrillOperator
    from infra.drill.site import Parties

__all__ = ["ForgedOrder", "Forger", "obey"]

_SEED_BATCH = ("O", 0)

Order = BatchOrder | StepOrder | Draft


@dataclass(frozen=True, slots=True)
class ForgedOrder:
    """An order that nothing calls for.

    Attributes:
        activity: what is started with it.
        order: its argument.
        is_signed: whether the coordinator of this plan signed it, word for word.
    """

    activity: str
    order: Order
    is_signed: bool


class Forger:
    """Who forges orders.

    Attributes:
        luck: what it draws from.
    """

    def __init__(self, luck: random.Random, parties: Parties) -> None:
        """Know all keys but those of operators, and another plan of the same coordinator."""
        self.luck, self._parties, plan = luck, parties, parties.plan
        self._key = parties.identities[COORDINATOR]
        self._other_plan = parties_elsewhere(plan.count, plan.threshold).plan.hash
        self._operator_key = parties.identities[plan.name_of(1)]

    def forge(self) -> ForgedOrder:
        """Return an order, forged in one of the ways there are."""
        ways: tuple[Callable[[], ForgedOrder], ...] = (
            self._of_nobody,
            self._of_another_ceremony,
            self._of_another_step,
            self._of_no_batch,
            self._early_seed,
            self._early_statement,
        )
        return self.luck.choice(ways)()

    def signed(
        self, line: bytes, *, key: Ed25519PrivateKey | None = None, plan_hash: bytes = b""
    ) -> str:
        """Return an order's envelope, the coordinator's for this plan unless told otherwise."""
        envelope = wire.sign_order(
            line, plan_hash or self._parties.plan.hash, self._key if key is None else key
        )
        return base64.b64encode(envelope).decode()

    def _of_nobody(self) -> ForgedOrder:
        """An operator signs an order to reveal the seed."""
        envelope = self.signed(batch_line(*_SEED_BATCH), key=self._operator_key)
        return ForgedOrder("share", BatchOrder(*_SEED_BATCH, envelope), is_signed=False)

    def _of_another_ceremony(self) -> ForgedOrder:
        """The coordinator signed it under another plan."""
        envelope = self.signed(step_line("conclude"), plan_hash=self._other_plan)
        return ForgedOrder("step", StepOrder("conclude", envelope), is_signed=False)

    def _of_another_step(self) -> ForgedOrder:
        """The coordinator signed it for something else."""
        envelope = self.signed(batch_line("N", 0))
        return ForgedOrder("share", BatchOrder(*_SEED_BATCH, envelope), is_signed=False)

    def _of_no_batch(self) -> ForgedOrder:
        """The coordinator orders what there is not: a batch, a round, a step."""
        if self.luck.random() < 0.3:  # noqa: PLR2004
            step = StepOrder("destroy", self.signed(step_line("destroy")))
            return ForgedOrder("step", step, is_signed=True)
        stage, batch, number = self.luck.choice((("N", 999, 0), ("X", 0, 0), ("N", 0, -7)))
        order = BatchOrder(stage, batch, self.signed(batch_line(stage, batch)), number)
        return ForgedOrder(self.luck.choice(("decode", "answer")), order, is_signed=True)

    def _early_seed(self) -> ForgedOrder:
        """The coordinator has the public seed opened, at any time."""
        order = BatchOrder(*_SEED_BATCH, self.signed(batch_line(*_SEED_BATCH)), 0)
        activity = self.luck.choice(("share", "decode", "answer"))
        return ForgedOrder(activity, order, is_signed=True)

    def _early_statement(self) -> ForgedOrder:
        """The coordinator asks for a signature under something that it did not order to sign."""
        body = wire.body_of(Close("complaints"))
        other = wire.body_of(Close("kem-keys"))
        draft = Draft(
            kind=Close.kind,
            subject="complaints",
            state="draft",
            body=base64.b64encode(body).decode(),
            envelope=self.signed(statement_line(other)),
        )
        return ForgedOrder("endorse", draft, is_signed=False)


def obey(operator: DrillOperator, forged: ForgedOrder) -> bool:
    """Start an activity of an operator with an order; return whether it was carried out."""
    plan = operator.site.plan
    offered = OperatorActivities(
        steps=cast("Steps", _UntilTheyWait(operator.steps)),
        open_order=lambda data: wire.open_order(data, plan.hash, plan.coordinator_key),
        read_statement=wire.entry_of,
        sign=operator.log.endorse,
    )
    try:
        getattr(offered, forged.activity)(forged.order)
    except (ApplicationError, CancelledError) as refusal:
        operator.unheard = str(refusal)
        return False
    return True


class _UntilTheyWait:
    """Steps as an activity knows them: one that waits is cancelled in the end."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._steps, name)
        return self._until_it_waits(found) if callable(found) else found

    def _until_it_waits(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def acted(*arguments: object) -> Any:
            try:
                return act(*arguments)
            except WouldWaitError as wait:
                raise CancelledError(str(wait)) from None

        return acted
