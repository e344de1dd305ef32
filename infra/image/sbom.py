"""The bill of materials of an image: CycloneDX 1.6 as JSON, a function of the locks.

Every Python package with the digests of the files that may be installed, the base image, kernel,
first process and driver. Nothing in it depends on when or where it is made: the serial number
follows from the content, the time is the one of the files in the image.
Source: CycloneDX 1.6, ECMA-424. Written here, since the enclave has to carry whatever this imports;
the suite validates it with the library of the CycloneDX project.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import uuid
from typing import TYPE_CHECKING

from infra.image.requirements import PROJECT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.image.inputs import Inputs
    from infra.image.requirements import Requirement

__all__ = ["bill_of_materials"]

ACCEPTED = "ringforge:accepted:sha256"
"""A digest of a file of this version: which of them is installed depends on the processor."""


def bill_of_materials(
    version: str, requirements: Sequence[Requirement], inputs: Inputs, commit: str
) -> bytes:
    """Return the bill of materials of an image.

    Args:
        version: of the project.
        requirements: what requirements.lock says.
        inputs: what the lock of inputs says.
        commit: of the source, in hex.
    """
    root = f"pkg:generic/{PROJECT}@{version}"
    moment = dt.datetime.fromtimestamp(inputs.source_date_epoch, dt.UTC)
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": PROJECT,
                "version": version,
                "purl": root,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                "properties": [{"name": "ringforge:commit", "value": commit}],
            },
        },
        "components": [*_below(inputs), *map(_package, requirements)],
        "dependencies": _dependencies(root, requirements, inputs),
    }
    digest = hashlib.sha256(_rendered(document)).hexdigest()
    serial = uuid.uuid5(uuid.NAMESPACE_OID, digest)
    return _rendered({**document, "serialNumber": f"urn:uuid:{serial}"})


def _rendered(document: dict[str, object]) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def _package(each: Requirement) -> dict[str, object]:
    return {
        "type": "library",
        "bom-ref": _purl(each),
        "name": each.name,
        "version": each.version,
        "purl": _purl(each),
        "properties": [{"name": ACCEPTED, "value": digest} for digest in each.digests],
    }


def _below(inputs: Inputs) -> list[dict[str, object]]:
    """Return what lies below the application."""
    base: dict[str, object] = {
        "type": "container",
        "bom-ref": inputs.base.reference,
        "name": inputs.base.image,
        "version": f"sha256:{inputs.base.sha256}",
        "hashes": [{"alg": "SHA-256", "content": inputs.base.sha256}],
    }
    files: list[dict[str, object]] = [
        {
            "type": "file",
            "bom-ref": f"file:{each.file}",
            "name": each.file,
            "hashes": [{"alg": "SHA-256", "content": each.sha256}],
        }
        for each in inputs.boot
    ]
    return [base, *files]


def _dependencies(
    root: str, requirements: Sequence[Requirement], inputs: Inputs
) -> list[dict[str, object]]:
    """Return who needs whom; the image itself needs what the project names and what is below."""
    names = {PROJECT: root} | {each.name: _purl(each) for each in requirements}
    needs: dict[str, list[str]] = {reference: [] for reference in names.values()}
    for each in requirements:
        for needer in each.needed_by:
            needs[names[needer]].append(_purl(each))
    needs[root] += [inputs.base.reference, *(f"file:{each.file}" for each in inputs.boot)]
    return [{"ref": ref, "dependsOn": sorted(on)} for ref, on in sorted(needs.items())]


def _purl(each: Requirement) -> str:
    return f"pkg:pypi/{each.name}@{each.version}"
