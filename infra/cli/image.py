"""The commands about enclave images and their releases."""

# ruff: noqa: PLC0415 - what a command does is imported when it runs

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.ending import ending

__all__ = ["operator_measure", "release"]

release = typer.Typer(help="Enclave images: how they are built, and the signed manifest of one.")

Image = Annotated[Path, typer.Argument(help="An enclave image file (EIF).")]
Source = Annotated[Path, typer.Option("--source", help="Folder of a checkout.")]
Commit = Annotated[str, typer.Option(help="The commit that is checked out, in hex.")]
Output = Annotated[Path, typer.Option(help="The file to write.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")]

HERE = Path()


def operator_measure(image: Image, *, as_json: AsJson = False) -> None:
    """Show what a plan must contain for the enclaves of an image: PCR0, 1, 2 and 8."""
    with ending(as_json=as_json):
        from infra.image.measure_command import measure_command

        raise typer.Exit(measure_command(image, as_json=as_json))


@release.command("application")
def release_application(*, output: Output, source: Source = HERE) -> None:
    """Write the tar of the packages that go into an image: same source, same bytes."""
    with ending(as_json=False):
        from infra.image.release_command import application_command

        raise typer.Exit(application_command(source, output))


@release.command("bill")
def release_bill(*, commit: Commit, output: Output, source: Source = HERE) -> None:
    """Write the bill of materials (CycloneDX) of an image: same source, same bytes."""
    with ending(as_json=False):
        from infra.image.release_command import bill_command

        raise typer.Exit(bill_command(source, commit, output))


@release.command("image")
def release_image(
    *,
    boot: Annotated[Path, typer.Option(help="Folder with kernel, first process and modules.")],
    root: Annotated[Path, typer.Option(help="Tar of the root file system.")],
    output: Output,
    source: Source = HERE,
) -> None:
    """Write an enclave image: same inputs, same bytes."""
    with ending(as_json=False):
        from infra.image.release_command import image_command

        raise typer.Exit(image_command(source, boot, root, output))


@release.command("sign")
def release_sign(
    *,
    commit: Commit,
    image: Annotated[Path, typer.Option(help="The enclave image.")],
    bill: Annotated[Path, typer.Option(help="The bill of materials.")],
    home: Annotated[Path, typer.Option(help="Home of who signs, with its identity.")],
    output: Output,
    source: Source = HERE,
) -> None:
    """Write the signed manifest of a release."""
    with ending(as_json=False):
        from infra.image.release_command import sign_command

        code = sign_command(source, commit, image=image, bill=bill, home=home, output=output)
        raise typer.Exit(code)


@release.command("verify")
def release_verify(
    manifest: Annotated[Path, typer.Argument(help="The signed manifest.")],
    *,
    signer: Annotated[Path, typer.Option(help="Card of who must have signed it.")],
    image: Annotated[Path | None, typer.Option(help="Enclave image to compare.")] = None,
    bill: Annotated[Path | None, typer.Option(help="Bill of materials to compare.")] = None,
    source: Annotated[Path | None, typer.Option(help="Checkout to compare.")] = None,
    plan: Annotated[Path | None, typer.Option(help="plan.toml to compare.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check who signed a manifest, and compare it with what is given: 0 valid, 4 not."""
    with ending(as_json=as_json):
        from infra.image.comparison import Given as Things
        from infra.image.release_command import verify_command

        things = Things(image, bill, source, plan)
        raise typer.Exit(verify_command(manifest, signer, things, as_json=as_json))
