"""The entries of the log.

Two families. *Messages* have one author. *Statements* are facts that n-t operators sign; whoever
gathered the signatures posts them. Entries carry digests and small values, never bulk data. The
wire encoding (deterministic CBOR array [kind, field, ...] in the order of the fields below) lives
in infra; the rules in `state` read these values only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mpc_core.protocol.context import BatchName  # noqa: TC001 - the codec reads the hints

__all__ = [
    "Acknowledgement",
    "Address",
    "Announcement",
    "Answer",
    "Attestation",
    "Blame",
    "Close",
    "Complaint",
    "Confirmation",
    "Contribution",
    "Correction",
    "Decision",
    "Decoded",
    "DecryptionRequest",
    "Destruction",
    "Entry",
    "Evidence",
    "Examined",
    "Have",
    "KemKey",
    "KeySet",
    "LogEntry",
    "Refused",
    "Rejoin",
    "Return",
    "Reveal",
    "Root",
    "Seal",
    "Served",
    "SetupSeal",
    "Summons",
    "Unserved",
    "WriteOff",
]


@dataclass(frozen=True, slots=True)
class Address:
    """Where the author's outbox is served; the one with the highest serial counts."""

    kind: ClassVar[str] = "address"
    serial: int
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Attestation:
    """A document of the author's enclave, and the keys that it binds; the last one counts.

    `serial` counts the author's documents before; `kem_key` is empty once the setup is sealed.
    """

    kind: ClassVar[str] = "attestation"
    serial: int
    tls_key: bytes
    kem_key: bytes
    document: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The author refuses an operator for what its enclave did not prove, named by the error's code.

    Under one code (`attestations.PLAYED`) it refused somebody else, who showed that operator's
    certificate without its key.

    For people and for the report: nothing follows from it by rule.
    """

    kind: ClassVar[str] = "refused"
    operator: int
    code: str


@dataclass(frozen=True, slots=True)
class KemKey:
    """The author's fresh hybrid KEM key for the PRSS setup."""

    kind: ClassVar[str] = "kem-key"
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Contribution:
    """The author's strings for all sets it contributes to in this round.

    Commitments in canonical order of the sets, and one HPKE ciphertext for every peer, as
    (peer, bytes) in order of the peers. Round 0 asks every operator; later rounds replace what was
    missing.
    """

    kind: ClassVar[str] = "contribution"
    round: int
    commitments: tuple[bytes, ...]
    ciphertexts: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class Complaint:
    """The author could not open what `contributor` sent it, or it misses its commitment."""

    kind: ClassVar[str] = "complaint"
    contributor: int


@dataclass(frozen=True, slots=True)
class Examined:
    """The author has opened every contribution and complained where it had to.

    `serial` counts the times that all had to examine anew: the same bytes stand in the log once.
    """

    kind: ClassVar[str] = "examined"
    serial: int


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """References of every stage key the author holds.

    For each of its sets in canonical order, the stages N, S, M, O. Names the log position of the
    complaint close it rests on.
    """

    kind: ClassVar[str] = "acknowledgement"
    complaint_close: int
    references: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Root:
    """Merkle root of the author's share vector in a batch."""

    kind: ClassVar[str] = "root"
    batch: BatchName
    context: bytes
    root: bytes


@dataclass(frozen=True, slots=True)
class Decoded:
    """The decoder's result: which vectors it used, as (operator, root), and the root of v."""

    kind: ClassVar[str] = "decoded"
    batch: BatchName
    context: bytes
    round: int
    points: tuple[tuple[int, bytes], ...]
    root: bytes


@dataclass(frozen=True, slots=True)
class Have:
    """The author holds the v with this root, and found root and parity right."""

    kind: ClassVar[str] = "have"
    batch: BatchName
    context: bytes
    root: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """The author's Y to the challenge of a round, made from the prefix with this `log_root`."""

    kind: ClassVar[str] = "answer"
    batch: BatchName
    context: bytes
    round: int
    log_root: bytes
    values: bytes


@dataclass(frozen=True, slots=True)
class Return:
    """The author was absent and is back."""

    kind: ClassVar[str] = "return"
    serial: int


@dataclass(frozen=True, slots=True)
class Correction:
    """The author found its own root or answer wrong: the batch dies, and nobody is to blame."""

    kind: ClassVar[str] = "correction"
    batch: BatchName
    context: bytes


@dataclass(frozen=True, slots=True)
class Decision:
    """The author's people want this decided: "pause", "resume", "extension" or "abort".

    `serial` counts the decisions taken before, `seconds` is by how much an extension lengthens the
    waiting time. Signed with both keys of the author's identity.
    """

    kind: ClassVar[str] = "decision"
    what: str
    serial: int
    seconds: int
    reason: str


@dataclass(frozen=True, slots=True)
class Blame:
    """Answers, by log position, that lie on no polynomial of degree 2t: the batch is burnt.

    `serial` counts the author's blames before, void ones too.
    """

    kind: ClassVar[str] = "blame"
    batch: BatchName
    context: bytes
    round: int
    answers: tuple[int, ...]
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Reveal:
    """The author's batch keys of a dead context that a blame asks for.

    Key and nonce, 24 bytes, for each of its streams (`justice.streams_of`) and, within a stream,
    each of the author's sets in canonical order.
    """

    kind: ClassVar[str] = "reveal"
    batch: BatchName
    context: bytes
    keys: bytes


@dataclass(frozen=True, slots=True)
class Evidence:
    """The author accuses an operator and serves the evidence, named by its Merkle root.

    Ground "vector": the accused's own share vector. Ground "decoder": leaves under the roots that
    the decoder listed and under its v.
    """

    kind: ClassVar[str] = "evidence"
    accused: int
    ground: str
    batch: BatchName
    context: bytes
    round: int
    root: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The author has checked the evidence against an operator; the (t+1)-th excludes it.

    Grounds "vector" and "decoder" rest on evidence entries, "recomputed" on a burn.
    """

    kind: ClassVar[str] = "confirmation"
    accused: int
    ground: str
    batch: BatchName
    context: bytes
    round: int


@dataclass(frozen=True, slots=True)
class Unserved:
    """The author could not get the share vector of an operator.

    `serial` counts what the author said before about that vector, here and in `Served`: the same
    bytes stand in the log only once.
    """

    kind: ClassVar[str] = "unserved"
    batch: BatchName
    context: bytes
    operator: int
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Served:
    """The author got a share vector that it could not get before."""

    kind: ClassVar[str] = "served"
    batch: BatchName
    context: bytes
    operator: int
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Close:
    """Statement: a deadline has passed.

    Slots: "contributions/<round>", "complaints", and per batch "roots/<context hex>",
    "round/<context hex>/<q>", "refuted/<context hex>/<q>/<digest hex>",
    "answers/<context hex>/<q>", "recomputation/<context hex>/<q>".

    `serial` counts the closes of this very slot before, void ones too: answers may have to be
    closed again, and the same bytes stand in the log only once.
    """

    kind: ClassVar[str] = "close"
    slot: str
    serial: int = 0


@dataclass(frozen=True, slots=True)
class SetupSeal:
    """Statement: every stage key has its reference; names `setup.references_digest` of them."""

    kind: ClassVar[str] = "setup-seal"
    references: bytes


@dataclass(frozen=True, slots=True)
class Summons:
    """Statement: this operator owes these entries and will be written off if it stays silent.

    `serial` counts the summonses of this operator before, void ones too. `missing` names slots, as
    `Owed.slot` does: "acknowledgement" or "answer/<context hex>/<q>".
    """

    kind: ClassVar[str] = "summons"
    operator: int
    serial: int
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WriteOff:
    """Statement: the ceremony no longer waits for this operator's entries.

    `summons` is the log position of the summons it follows, `serial` counts the write-offs of this
    operator before, void ones too.
    """

    kind: ClassVar[str] = "write-off"
    operator: int
    summons: int
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Rejoin:
    """Statement of n-t others: this operator lost its state, and its people vouch for a new start.

    `serial` counts its rejoins before. `key` is the SHA-256 of the KEM key that it made for this:
    what the others give back is sealed to that key, and nobody can have signed this before.
    """

    kind: ClassVar[str] = "rejoin"
    operator: int
    serial: int
    key: bytes


@dataclass(frozen=True, slots=True)
class Seal:
    """Statement: N, S and M are final. Names size and root of the prefix it directly follows."""

    kind: ClassVar[str] = "seal"
    size: int
    log_root: bytes


@dataclass(frozen=True, slots=True)
class Destruction:
    """The author leaves: the key above all that it sealed is given to deletion.

    Nothing follows by rule.

    Attributes:
        kms_key: name of that key at the key service.
        wrapped_keys: SHA-256 of each wrapped key that is removed.
        waiting_days: after how many days the service deletes the key; it opens nothing meanwhile.
        ordered_at: when the author gave the order, in seconds since 1970 by its clock.
    """

    kind: ClassVar[str] = "destruction"
    kms_key: str
    wrapped_keys: tuple[bytes, ...]
    waiting_days: int
    ordered_at: int


@dataclass(frozen=True, slots=True)
class KeySet:
    """Statement: the key set with this digest was rebuilt from seed and bodies, byte for byte."""

    kind: ClassVar[str] = "key-set"
    digest: bytes


@dataclass(frozen=True, slots=True)
class Announcement:
    """Statement: the key set passed the zero audit and the test decryptions."""

    kind: ClassVar[str] = "announcement"
    digest: bytes


@dataclass(frozen=True, slots=True)
class DecryptionRequest:
    """Statement (sandbox, insecure sets): decrypt this ciphertext list with the next floods.

    `ciphertext` is the Merkle root of the list, `size` its length in bytes.
    """

    kind: ClassVar[str] = "decryption-request"
    serial: int
    ciphertext: bytes
    size: int
    openings: int
    first_flood: int


Entry = (
    Acknowledgement
    | Address
    | Announcement
    | Answer
    | Attestation
    | Blame
    | Close
    | Complaint
    | Confirmation
    | Contribution
    | Correction
    | Decision
    | Decoded
    | DecryptionRequest
    | Destruction
    | Evidence
    | Examined
    | Have
    | KemKey
    | KeySet
    | Refused
    | Rejoin
    | Return
    | Reveal
    | Root
    | Seal
    | Served
    | SetupSeal
    | Summons
    | Unserved
    | WriteOff
)

STATEMENTS = (
    Announcement,
    Close,
    DecryptionRequest,
    KeySet,
    Rejoin,
    Seal,
    SetupSeal,
    Summons,
    WriteOff,
)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An entry at its place in the log, its signatures already verified.

    Attributes:
        position: zero-based index in the log.
        signers: indices of the operators whose valid signature it carries, ascending;
            exactly one for a message.
        entry: the decoded value.
        leaf_hash: RFC 6962 leaf hash of the signed bytes.
        prefix_root: RFC 6962 root of the prefix that ends with this entry.
    """

    position: int
    signers: tuple[int, ...]
    entry: Entry
    leaf_hash: bytes
    prefix_root: bytes

    @property
    def author(self) -> int:
        """The one signer of a message."""
        (author,) = self.signers
        return author
