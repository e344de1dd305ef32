"""`ringforge` whose sandbox runs fake parties, without Temporal server and kernels."""

import sys

from infra.cli.main import main
from infra.sandbox import processes, supervisor
from infra.temporal.server import ExternalServer


def install(patch):
    """Replace what a sandbox starts; `patch` has the signature of setattr."""
    real = supervisor.party_command
    party = [sys.executable, "-m", "tests.support.fake_party"]
    patch(supervisor, "party_command", lambda *words, **named: party + real(*words, **named)[3:])
    patch(supervisor, "warm_kernels", lambda folder, say: say("kernels are warm"))
    patch(supervisor, "open_server", lambda directory, **_: ExternalServer("127.0.0.1:1"))


if __name__ == "__main__":
    install(setattr)
    processes.GRACE_SECONDS = 3600.0
    main()
