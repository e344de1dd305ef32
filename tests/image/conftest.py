"""An operator whose enclave has an empty bucket."""

import datetime as dt

import pytest

from infra.enclave.insecure_software import Authority
from infra.objects.s3 import S3Objects, s3_client
from infra.plan.sandbox import sandbox_plan
from tests.enclave.chains import APPROVED
from tests.enclave.site import Site
from tests.image.enclosed import BUCKET, NAME, Operator
from tests.support.s3 import s3_server, use_s3


@pytest.fixture(scope="module")
def server():
    with s3_server() as url:
        yield url


@pytest.fixture
def operator(tmp_path, server, monkeypatch):
    use_s3(monkeypatch, server)
    client = s3_client()
    # The same client each time: what it takes boto3 to make one is most of the time here.
    monkeypatch.setattr("infra.party.sealed.s3_client", lambda: client)
    client.create_bucket(Bucket=BUCKET)
    for module in ("infra.party.enclave", "infra.plan.sandbox"):
        monkeypatch.setattr(f"{module}.measure_installed", lambda: APPROVED)
    root = Authority.create(_now())
    shape = {"operators": 4, "threshold": 1, "parameters": "test", "waiting_seconds": 60}
    parties = sandbox_plan(**shape, enclave=root, hybrid=True)
    with Site.started(tmp_path, parties.signed.plan, root=root, clock=_now) as site:
        bucket = S3Objects(client, BUCKET, NAME)
        kms_key = site.create_key()
        yield Operator(parties, site, root, kms_key, tmp_path, bucket)
    for key in bucket.keys():  # noqa: SIM118 - no mapping
        bucket.delete(key)
    client.delete_bucket(Bucket=BUCKET)


def _now():
    return dt.datetime.now(dt.UTC)
