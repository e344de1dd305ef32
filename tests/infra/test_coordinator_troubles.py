"""The coordinator sees who is away, and whose steps fail again and again."""

from datetime import UTC, datetime

import pytest
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure, TimeoutFailureInfo
from temporalio.api.workflow.v1 import PendingActivityInfo

from infra.coordinator.troubles import Trouble, Troubles

FIRST, LATER = datetime(2027, 1, 1, 12, 0, 0, tzinfo=UTC), datetime(2027, 1, 1, 13, tzinfo=UTC)


def failing(party, attempt, message="", *, kind="application"):
    info = {
        "application": {"application_failure_info": ApplicationFailureInfo(type="Any")},
        "timeout": {"timeout_failure_info": TimeoutFailureInfo()},
    }[kind]
    failure = Failure(message=message, **info)
    return PendingActivityInfo(attempt=attempt, last_worker_identity=party, last_failure=failure)


@pytest.fixture
def seen():
    now = [FIRST]
    return now, Troubles(None, "00", now=lambda: now[0])


def test_a_step_that_failed_twice_is_shown_with_party_code_and_since_when(seen):
    now, troubles = seen
    full = "RF-DISK-001  the disk that holds work is full"
    troubles.note([failing("op-02", 2, full), PendingActivityInfo(attempt=1)])
    assert troubles.found == ()
    troubles.note([failing("op-02", 3, full), failing("op-02", 5, full)])
    assert troubles.found == (Trouble("op-02", "RF-DISK-001", FIRST.isoformat(), 4),)
    now[0] = LATER
    troubles.note([failing("op-02", 9, full), failing("op-03", 3, "TypeError")])
    assert troubles.found == (
        Trouble("op-02", "RF-DISK-001", FIRST.isoformat(), 8),
        Trouble("op-03", "RF-ORDER-003", LATER.isoformat(), 2),
    )
    troubles.note([])
    assert troubles.found == ()
    troubles.note([failing("op-02", 3, full)])
    assert troubles.found == (Trouble("op-02", "RF-DISK-001", LATER.isoformat(), 2),)


def test_a_step_that_ends_without_a_word_is_a_timeout(seen):
    _, troubles = seen
    troubles.note([failing("op-02", 3, "activity Heartbeat timeout", kind="timeout")])
    assert [(each.party, each.code) for each in troubles.found] == [("op-02", "RF-ORDER-004")]
