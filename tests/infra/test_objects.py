"""Stores of objects: a directory, and S3 as moto's server speaks it."""

import pytest
from botocore.exceptions import EndpointConnectionError, IncompleteReadError

from infra.objects.folder import FolderObjects
from infra.objects.s3 import S3Objects, bucket_at, s3_client
from mpc_core.protocol.errors import CeremonyError
from tests.support.s3 import s3_server, use_s3

BUCKET = "operator-vault"


@pytest.fixture(scope="module")
def server():
    with s3_server() as url:
        yield url


@pytest.fixture
def client(server, monkeypatch):
    use_s3(monkeypatch, server)
    client = s3_client()
    client.create_bucket(Bucket=BUCKET)
    versioning = {"Status": "Enabled"}
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=versioning)
    yield client
    for kind in ("Versions", "DeleteMarkers"):
        for each in client.list_object_versions(Bucket=BUCKET).get(kind, ()):
            client.delete_object(Bucket=BUCKET, Key=each["Key"], VersionId=each["VersionId"])
    client.delete_bucket(Bucket=BUCKET)


@pytest.fixture(params=["folder", "s3"])
def objects(request, tmp_path):
    if request.param == "folder":
        return FolderObjects(tmp_path / "vault")
    return S3Objects(request.getfixturevalue("client"), BUCKET, "op-02")


def refused(act, *arguments):
    with pytest.raises(CeremonyError) as refusal:
        act(*arguments)
    return refusal.value.code


def test_an_object_is_read_as_it_was_written(objects):
    assert objects.get("objects/stage-keys/N@1") is None
    for data in (b"sealed", b"", b"sealed again" * 1000):
        there = objects.get("objects/stage-keys/N@1")
        tag = objects.put("objects/stage-keys/N@1", data, there and there.tag)
        found = objects.get("objects/stage-keys/N@1")
        assert (found.data, found.tag) == (data, tag)


def test_an_object_is_written_only_over_what_was_there(objects):
    assert refused(objects.put, "index", b"2", "a tag") == "RF-STORE-002"
    first = objects.put("index", b"1", None)
    assert refused(objects.put, "index", b"2", None) == "RF-STORE-002"
    second = objects.put("index", b"2", first)
    assert refused(objects.put, "index", b"3", first) == "RF-STORE-002"
    assert objects.get("index").data == b"2"
    objects.put("index", b"3", second)


def test_objects_are_listed_and_deleted(objects):
    names = ("identity", "index", "objects/shares/N-000@0", "objects/shares/N-001@0")
    for name in reversed(names):
        objects.put(name, b"sealed", None)
    assert objects.keys() == names
    objects.delete(names[2])
    objects.delete(names[2])
    objects.delete("objects/none")
    assert objects.keys() == (*names[:2], names[3])
    assert objects.get(names[2]) is None
    objects.put(names[2], b"again", None)


def test_what_a_crash_left_half_written_is_no_object(tmp_path):
    objects = FolderObjects(tmp_path)
    objects.put("index", b"1", None)
    (tmp_path / ".index.abc.tmp").write_bytes(b"half")
    assert objects.keys() == ("index",)


@pytest.mark.parametrize("key", ["", "../index", "a//b", "./a", "/a"])
def test_no_object_lies_outside_the_folder(tmp_path, key):
    with pytest.raises(ValueError):  # noqa: PT011 - the port names no other
        FolderObjects(tmp_path).get(key)


def test_an_operator_sees_only_what_lies_below_its_prefix(client):
    one, other = (S3Objects(client, BUCKET, name) for name in ("op-0", "op-02"))
    one.put("index", b"1", None)
    assert (other.keys(), other.get("index")) == ((), None)


def test_more_names_than_fit_on_a_page_are_listed(client, monkeypatch):
    objects = S3Objects(client, BUCKET, "op-02")
    for number in range(5):
        objects.put(f"objects/{number}", b"", None)
    pages = client.list_objects_v2
    monkeypatch.setattr(client, "list_objects_v2", lambda **asked: pages(**asked, MaxKeys=2))
    assert len(objects.keys()) == 5


def test_the_bucket_keeps_what_was_replaced_and_deleted(client):
    objects = S3Objects(client, BUCKET, "op-02")
    objects.put("index", b"2", objects.put("index", b"1", None))
    objects.delete("index")
    versions = client.list_object_versions(Bucket=BUCKET)["Versions"]
    assert len(versions) == 2


class LosesAnswers:
    """The client of a line that breaks after the bucket took an object."""

    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        return getattr(self.client, name)

    def put_object(self, **request):
        self.client.put_object(**request)
        return self.client.put_object(**request)  # as the library does when no answer came


def test_an_object_whose_answer_was_lost_is_there_once(client):
    objects = S3Objects(LosesAnswers(client), BUCKET, "op-02")
    tag = objects.put("index", b"1", None)
    assert objects.get("index").tag == tag
    assert objects.put("index", b"2", tag) != tag


class Broken:
    def __init__(self, error):
        self.error = error

    def __getattr__(self, _):
        def call(**_):
            raise self.error

        return call


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="https://s3"),
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
    ],
)
def test_a_bucket_that_is_away_is_an_error_with_a_page(error):
    objects = S3Objects(Broken(error), BUCKET, "")
    for act in (lambda: objects.get("a"), lambda: objects.put("a", b"", None), objects.keys):
        assert refused(act) == "RF-STORE-001"


def test_a_bucket_that_does_not_exist_is_no_empty_one(client):
    objects = S3Objects(client, "another-bucket", "")
    assert refused(objects.keys) == "RF-STORE-001"
    assert refused(objects.get, "index") == "RF-STORE-001"


def test_a_plan_names_a_bucket_and_nothing_else():
    assert bucket_at("s3://vaults/op-02") == ("vaults", "op-02")
    assert bucket_at("s3://vaults") == ("vaults", "")
    for other in ("vaults", "s3://", "s3://UPPER", "https://vaults", "s3://vaults/../x y"):
        assert refused(bucket_at, other) == "RF-STORE-006"
