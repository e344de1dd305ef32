"""A sandbox's key service for tests: a clock, a test root, an endpoint and who may ask it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3

from infra.enclave.insecure_software import Authority, InsecureSoftwareModule
from infra.enclave.kms.data_keys import Context, DataKeys
from infra.enclave.kms.insecure_local import InsecureLocalKms
from infra.enclave.kms.insecure_server import access_key, serving
from infra.enclave.kms.policy import KeyHolder, key_policy
from tests.enclave.chains import APPROVED, NOW

if TYPE_CHECKING:
    from pathlib import Path

ROLE = "arn:aws:iam::000000000000:role/op-02"
ADMINISTRATOR = "arn:aws:iam::000000000000:role/op-02-admin"
STRANGER = "arn:aws:iam::000000000000:role/stranger"
PRINCIPALS = {"ENCLAVE": ROLE, "ADMIN": ADMINISTRATOR, "STRANGER": STRANGER}
PRINCIPALS |= {access_key("op-02"): ROLE, access_key("op-02", administrator=True): ADMINISTRATOR}
HOLDER = KeyHolder(ROLE, ADMINISTRATOR)


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now

    def pass_by(self, **time):
        self.now += dt.timedelta(**time)


@dataclasses.dataclass(frozen=True)
class Site:
    folder: Path
    plan: Any
    root: Authority
    clock: Clock
    url: str

    @classmethod
    @contextmanager
    def started(cls, folder, plan, root=None, clock=None):
        clock = clock or Clock()
        root = root or Authority.create(NOW)
        kms = InsecureLocalKms(plan, folder / "kms", root.certificate, PRINCIPALS, clock)
        with serving(kms) as url:
            yield cls(folder, plan, root, clock, url)

    def client(self, access_key="ENCLAVE"):
        session = boto3.Session(access_key, "not checked", region_name="local")
        return session.client("kms", endpoint_url=self.url)

    def module(self, measurement=APPROVED):
        return InsecureSoftwareModule(self.plan, self.root, measurement, self.clock)

    def keys(self, measurement=APPROVED, access_key="ENCLAVE"):
        return DataKeys(self.client(access_key), self.module(measurement))

    def context(self, operator="op-02"):
        return Context(self.plan.hash, operator)

    def create_key(self, measurement=APPROVED):
        policy = json.dumps(key_policy(measurement, "op-02", HOLDER))
        return self.client("ADMIN").create_key(Policy=policy)["KeyMetadata"]["Arn"]
