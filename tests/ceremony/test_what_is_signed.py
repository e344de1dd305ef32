"""An operator signs a key set that it rebuilt itself, and announces one that passed its tests."""

import pytest

from activities.acceptance import Acceptance
from activities.batches import Batches
from mpc_core.protocol.entries import Announcement, KeySet
from mpc_core.tfhe.parameters import DRILL_SET
from tests.support.simulation import Ceremony

SIGNER = 2


def test_a_key_set_is_signed_under_the_digest_that_the_operator_rebuilt_and_no_other():
    ceremony, found = Ceremony(parameters=DRILL_SET), []

    def look():
        steps = ceremony.party(SIGNER).steps
        found.extend(steps.objection(KeySet(each)) for each in (ceremony.digest(), bytes(32)))

    ceremony.at["key-set"] = look
    ceremony.run()
    assert found == ["", "this operator has not rebuilt the key set with this digest"]


@pytest.mark.parametrize(
    ("spoilt", "says"),
    [("audit", "the zero audit of the "), ("tests", "a test decryption gave another plaintext")],
)
def test_a_key_set_that_fails_a_test_is_not_announced(spoilt, says):
    ceremony, found = Ceremony(parameters=DRILL_SET), []
    batches = [each for each in ceremony.layout.assembly if each.purpose == "audit"]

    def look():
        steps, entry = ceremony.party(SIGNER).steps, Announcement(ceremony.digest())
        found.append(steps.objection(entry))
        opening = Batches.opening
        with pytest.MonkeyPatch.context() as patch:
            if spoilt == "audit":
                last = ("O", batches[-1].index)
                patch.setattr(
                    Batches,
                    "opening",
                    lambda self, key: memoryview(b"\0\1") if key == last else opening(self, key),
                )
            else:
                patch.setattr(Acceptance, "_test_values", lambda *_: (True,))
            found.append(steps.objection(entry))

    ceremony.at["announcement"] = look
    ceremony.run()
    right, wrong = found
    assert right == ""
    assert wrong.startswith(says)
