"""What `terraform validate` says of a folder, as far as it can be said without the provider.

Every block has the arguments and blocks that the provider knows and all that it demands, every
reference leads to something that has this attribute, and nothing needs itself. The provider's
demands stand in `aws-provider-6.25.0.json`, made from the typings of its CDK (npm,
@cdktf/provider-aws 21.22.1); the files are read by python-hcl2.
"""

from __future__ import annotations

import json
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import hcl2

SCHEMA = json.loads((Path(__file__).parent / "aws-provider-6.25.0.json").read_text())
META = {"for_each", "depends_on", "lifecycle", "__comments__", "__is_block__"}
REFERENCE = re.compile(
    r"(?<![\w.\"/-])(aws_\w+|var|local|each|path|data|module)\.(\w+)((?:\[[^\]]*\])?(?:\.(\w+))?)"
)
CALL = re.compile(r"(?<![\w.\"/-])([a-z0-9]+)\(")
FUNCTIONS = {
    *("alltrue", "base64gzip", "can", "distinct", "file", "fileset", "jsonencode", "keys"),
    *("length", "merge", "regex", "templatefile", "yamlencode"),
}
"""Functions of Terraform that are used here."""

COMMON = {"each": {"key", "value"}, "path": {"module"}}


def parsed(folder):
    """Return what the files of a folder say, by kind and address, without quotation marks."""
    found = {
        "resource": {},
        "variable": {},
        "local": {},
        "output": {},
        "terraform": {},
        "provider": {},
    }
    for path in sorted(folder.glob("*.tf")):
        for kind, blocks in hcl2.loads(path.read_text()).items():
            for block in blocks if kind != "__comments__" else ():
                for address, body in _addresses(kind, block):
                    kind_of = "local" if kind == "locals" else kind
                    assert address not in found[kind_of], f"{address} twice"
                    found[kind_of][address] = body
    return found


def _addresses(kind, block):
    if kind == "resource":
        for type_, named in block.items():
            for name, body in named.items():
                yield f"{_bare(type_)}.{_bare(name)}", body
    elif kind == "terraform":
        yield kind, block
    else:
        yield from ((_bare(key), body) for key, body in block.items() if not key.startswith("__"))


def _bare(text):
    return text.strip('"')


def faults(folder):
    """Return everything that is wrong, as sentences."""
    found = parsed(folder)
    wrong = [fault for each in found["resource"].items() for fault in _shape_faults(*each)]
    needs = {}
    for kind in ("resource", "local", "output", "provider"):
        for address, body in found[kind].items():
            here = {"local": "local."}.get(kind, "") + address
            references = set(_references(body))
            wrong += [f"{here}: {fault}" for each in references for fault in _dangling(each, found)]
            needs[here] = {_target(each) for each in references} - {None}
    for body in _bodies({**found, "variable": {}}):
        wrong += [f"no function {name}" for name in sorted(set(_calls(body)) - FUNCTIONS)]
    used = {each[1] for body in _bodies(found) for each in _references(body) if each[0] == "var"}
    wrong += [f"variable {name} is not used" for name in found["variable"].keys() - used]
    try:
        list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        wrong.append(f"a circle: {error.args[1]}")
    return wrong


def _shape_faults(address, body):
    type_ = address.partition(".")[0]
    if type_ not in SCHEMA:
        return [f"{address}: no such resource is known"]
    return [f"{address}: {fault}" for fault in _block_faults(body, SCHEMA[type_])]


def _block_faults(body, schema):
    said = {key: value for key, value in body.items() if key not in META}
    for name, value in said.items():
        if name in schema["blocks"]:
            if not isinstance(value, list):
                yield f"{name} is a block"
                continue
            for each in value:
                yield from (
                    f"{name}: {fault}" for fault in _block_faults(each, schema["blocks"][name])
                )
        elif name not in schema["arguments"]:
            yield f"there is no {name}"
        elif isinstance(value, list) and any(
            isinstance(each, dict) and "__is_block__" in each for each in value
        ):
            yield f"{name} is no block"
    demanded = [name for name, needed in schema["arguments"].items() if needed]
    demanded += [name for name, block in schema["blocks"].items() if block["required"]]
    yield from (f"{name} is missing" for name in demanded if name not in said)


def _references(value):
    for each in _texts(value):
        for match in REFERENCE.finditer(each):
            yield (match[1], match[2], match[4])


def _calls(value):
    for each in _texts(value):
        yield from CALL.findall(each)


def _texts(value):
    """Yield every expression below a value."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key != "__comments__":
                yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str) and "${" in value:
        yield value


def _bodies(found):
    return [body for kind in found.values() for body in kind.values()]


def _dangling(reference, found):
    kind, name, attribute = reference
    if kind in COMMON:
        known = name in COMMON[kind]
    elif kind in {"var", "local"}:
        known = name in found["variable" if kind == "var" else "local"]
    else:
        known = f"{kind}.{name}" in found["resource"]
        known = known and (attribute is None or attribute in SCHEMA[kind]["attributes"])
    return [] if known else [f"there is no {kind}.{name}" + (f".{attribute}" if attribute else "")]


def _target(reference):
    kind, name, _ = reference
    return f"{kind}.{name}" if kind == "local" or kind.startswith("aws_") else None
