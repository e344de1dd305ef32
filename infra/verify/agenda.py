"""The agenda of a verification; what each check is about is said where it is made.

Everything follows from plan.toml, plan.sig, keyset/ and transcript/. The order is that of trust:
the plan says whose signatures count, they say which log is the log, the log says which openings
hold, and these make the key set. The manifest only tells a bad copy from a false one. All large
files are gone through at once, as soon as it is known what to look for.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from infra.publish.manifest import is_opening
from infra.verify import attestations, blame, ceremony, evidence, keyset, log, openings
from infra.verify.evidence import Evidence
from infra.verify.progress import Progress
from infra.verify.survey import survey
from infra.verify.verdict import Recorder, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["verify"]


def verify(
    folder: Path, plan_hash: str | None = None, say: Callable[[str], object] = lambda _: None
) -> Verdict:
    """Check a finished ceremony again, from its public files alone.

    Args:
        folder: the ceremony's folder.
        plan_hash: the hash, in hex, that the plan must have; any by default.
        say: takes lines that say how far a long verification is.

    Returns:
        What every check found.

    Security: the verdict is worth as much as the identity keys in the plan. A stranger can make up
        a whole ceremony of his own; only a plan hash from an operator shows that it is theirs.
    """
    files, record = Evidence(folder, {}), Recorder()
    take = record.take
    manifest = take("manifest", evidence.read_manifest, files)
    rules = take("plan", partial(evidence.read_plan, plan_hash=plan_hash), files)
    take("manifest signature", evidence.check_manifest, manifest, rules)
    entries = take("log", log.read_log, files, rules)
    signed = take("checkpoint", log.check_checkpoint, files, rules, entries)
    progress = Progress(say, _work(files))
    found = survey(files, manifest, rules, signed, progress)
    take("files", evidence.check_files, files, manifest, found.record)
    values = take("opened values", openings.read_openings, files, rules, signed, found)

    state = take("rules", ceremony.fold, rules, signed, values)
    take("attestation", attestations.check_attestations, rules, state)
    take("setup", ceremony.check_setup, rules, state)
    opened = take("batches", ceremony.check_batches, rules, state, values)
    take("openings", openings.check_values, rules, state, opened)
    take("challenges", openings.check_challenges, rules, state, opened)
    take("refuted values", openings.check_refuted, files, state, values)
    take("blame", blame.check_blame, files, rules, state, values)
    take("seal", ceremony.check_seal, rules, state)

    seed = take("seed", keyset.check_seed, state, opened)
    digests = take("key files", keyset.check_rebuilt, files, rules, opened, seed, progress)
    take("key set", keyset.check_digest, rules, state, digests)
    take("zero audit", keyset.check_audit, rules, opened)
    take("test decryptions", keyset.check_tests, rules, opened)
    take("announcement", ceremony.check_announcement, rules, state)
    lacking = () if values is None or rules is None else openings.not_repeated(rules, values)
    return Verdict(tuple(record.checks), lacking)


def _work(files: Evidence) -> int:
    """Return how many bytes are gone through: every file, and what is rebuilt once more."""
    return sum(size * (1 if is_opening(name) else 2) for name, size in files.sizes.items())
