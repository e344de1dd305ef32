"""The Terraform of one operator holds together, and opens nothing that it need not."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.image.terraform import faults, parsed

FOLDER = Path(__file__).parents[2] / "infra" / "aws" / "terraform"
FILES = sorted(FOLDER.glob("*.tf"))


@pytest.fixture(scope="module")
def found():
    return parsed(FOLDER)


def _resources(found, type_):
    return {key: body for key, body in found["resource"].items() if key.startswith(f"{type_}.")}


def _one(found, type_):
    (body,) = _resources(found, type_).values()
    return body


def test_it_holds_together():
    assert faults(FOLDER) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("deletion_window_in_days", "deletion_window", "there is no deletion_window"),
        ("enclave_options {", "enclave_option {", "there is no enclave_option"),
        ('  name = "objects"\n  role = aws_iam_role.parent.id\n', "", "role is missing"),
        ('status = "Enabled"', 'state = "Enabled"', "versioning_configuration: there is no state"),
        ("var.ami", "var.image", "there is no var.image"),
        ("local.parent}", "local.child}", "there is no local.child"),
        ("aws_kms_key.shares.arn", "aws_kms_key.other.arn", "there is no aws_kms_key.other.arn"),
        ("aws_vpc.operator.id", "aws_vpc.operator.idea", "there is no aws_vpc.operator.idea"),
        ("var.instance_type", '"m6a.large"', "variable instance_type is not used"),
        ('resource "aws_eip"', 'resource "aws_eips"', "no such resource is known"),
        ("depends_on = [aws_iam_role.parent]", "depends_on = [aws_vpc_endpoint.keys]", "a circle"),
        ("file(var.key_policy)", "files(var.key_policy)", "no function files"),
        ("enclave_options {\n    enabled = true\n  }", "enclave_options = true", "is a block"),
    ],
)
def test_what_does_not_hold_together_is_noticed(tmp_path, old, new, fault):
    for path in FILES:
        shutil.copy(path, tmp_path)
    changed = 0
    for path in tmp_path.glob("*.tf"):
        text = path.read_text()
        changed += text.count(old)
        path.write_text(text.replace(old, new))
    assert changed
    assert any(fault in each for each in faults(tmp_path))


def test_the_provider_is_the_one_whose_demands_are_checked(found):
    terraform = found["terraform"]["terraform"]
    assert terraform["required_providers"][0]["aws"]["version"] == '"6.25.0"'


def test_the_machine_has_an_enclave_and_no_way_to_log_in(found):
    machine = _one(found, "aws_instance")
    assert machine["enclave_options"][0]["enabled"] is True
    assert machine["metadata_options"][0]["http_tokens"] == '"required"'
    assert machine["metadata_options"][0]["http_put_response_hop_limit"] == 1
    assert machine["root_block_device"][0]["encrypted"] is True
    assert not {"key_name", "associate_public_ip_address"} & machine.keys()
    text = "".join(path.read_text() for path in FILES)
    assert not re.search(r"ssm|SessionManager|ssh-|:22\b", text)
    assert "mask --now sshd.service" in (FOLDER.parent / "parent" / "start.sh.tftpl").read_text()


def test_the_key_has_the_generated_policy_which_cannot_be_changed(found):
    key = _one(found, "aws_kms_key")
    assert key["policy"] == "${file(var.key_policy)}"
    assert key["bypass_policy_lockout_safety_check"] is True
    assert key["lifecycle"][0]["prevent_destroy"] is True
    assert key["multi_region"] is False


def test_every_bucket_keeps_its_versions_and_is_nobody_elses(found):
    assert _one(found, "aws_s3_bucket")["object_lock_enabled"] is True
    versions = _one(found, "aws_s3_bucket_versioning")
    assert versions["versioning_configuration"][0]["status"] == '"Enabled"'
    lock = _one(found, "aws_s3_bucket_object_lock_configuration")
    assert lock["rule"][0]["default_retention"][0]["mode"] == '"COMPLIANCE"'
    block = _one(found, "aws_s3_bucket_public_access_block")
    names = ("block_public_acls", "block_public_policy", "ignore_public_acls")
    assert all(block[name] is True for name in (*names, "restrict_public_buckets"))
    for type_ in ("versioning", "object_lock_configuration", "public_access_block", "policy"):
        assert "for_each" in _one(found, f"aws_s3_bucket_{type_}")


def test_no_rule_lets_everybody_in_or_out(found):
    rules = _resources(found, "aws_vpc_security_group_ingress_rule")
    rules |= _resources(found, "aws_vpc_security_group_egress_rule")
    assert len(rules) == 5
    for rule in rules.values():
        assert rule["ip_protocol"] == '"tcp"'
        assert rule.get("cidr_ipv4", "${each.value.range}") == "${each.value.range}"
        assert "cidr_ipv6" not in rule
    conditions = [each["condition"] for each in found["variable"]["peers"]["validation"]]
    assert any("0.0.0.0/0" in condition for condition in conditions)


def test_the_role_may_use_its_objects_and_nothing_else(found):
    policy = _resources(found, "aws_iam_role_policy")["aws_iam_role_policy.parent"]["policy"]
    assert _actions(policy) == {
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
    }
    roles = _resources(found, "aws_iam_role").values()
    assert all("managed_policy_arns" not in role for role in roles)


def _actions(policy):
    return set(re.findall(r'"(s3:(?!prefix)[A-Za-z*]+|[a-rt-z][a-z0-9]*:[A-Za-z*]+)"', policy))


def test_people_may_use_their_desk_and_nothing_else(found):
    policy = _resources(found, "aws_iam_role_policy")["aws_iam_role_policy.people"]["policy"]
    assert _actions(policy) == {"s3:GetObject", "s3:ListBucket", "s3:PutObject"}
    places = re.findall(r'"\$\{aws_s3_bucket[^"]*"[^"]*"[^"]*"', policy)
    assert len(places) == 2
    assert all("/people/*" in place for place in places)
    role = _resources(found, "aws_iam_role")["aws_iam_role.people"]
    assert "aws:MultiFactorAuthPresent" in role["assume_role_policy"]


def test_services_of_aws_are_reached_through_private_endpoints(found):
    endpoints = _resources(found, "aws_vpc_endpoint")
    names = {body["service_name"] for body in endpoints.values()}
    assert names == {'"com.amazonaws.${var.region}.kms"', '"com.amazonaws.${var.region}.s3"'}
    keys = endpoints["aws_vpc_endpoint.keys"]
    assert keys["private_dns_enabled"] is True
    assert "aws_kms_key.shares.arn" in keys["policy"]


def test_the_enclave_that_starts_is_not_one_for_debugging():
    enclave = json.loads((FOLDER.parent / "parent" / "enclave.json").read_text())
    assert enclave["debug_mode"] is False
    assert enclave["enclave_cid"] == 16


def test_the_first_start_uses_what_it_is_given(found):
    template = (FOLDER.parent / "parent" / "start.sh.tftpl").read_text()
    given = _one(found, "aws_instance")["user_data_base64"].partition("start.sh.tftpl")[2]
    names = set(re.findall(r"(\w+) = ", given))
    assert names == {"files", "egress", "bucket", "region"}
    loops = re.findall(r"%\{ for (\w+)(?:, (\w+))? in (\w+) ~\}", template)
    known = names | {name for loop in loops for name in loop[:2]}
    used = set(re.findall(r"\$\{(?:base64encode\()?(\w+)\)?\}", template))
    assert used <= known
    assert names <= used | {loop[2] for loop in loops}
    assert len(re.findall(r"%\{ endfor ~\}", template)) == len(loops)
