#!/usr/bin/env bash
# Builds an enclave image from a commit: infra/aws/build.sh COMMIT BOOT OUTPUT
#   COMMIT  what to build; the work tree does not matter
#   BOOT    folder with the boot files that infra/aws/inputs.lock pins
#   OUTPUT  folder for root.tar, ringforge.eif, bill.json and measurement.toml
# Two runs, anywhere, give the same ringforge.eif: compare its digest with somebody else's.
# Needs git, uv of the version below, and Docker with buildx. Not yet run on AWS.
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC

# The Python of the tools is that of the image. A version of uv knows it by its digest, so this one
# version stands for both; that of pip is in tools.lock, all others in requirements.lock.
uv_version=0.13.8
python_version=3.11.14
found=$(uv --version)
if [[ "$found" != "uv $uv_version" && "$found" != "uv $uv_version "* ]]; then
  echo "build.sh: needs uv $uv_version, found $found" >&2
  exit 1
fi

commit=$(git rev-parse --verify "$1^{commit}")
boot=$(realpath "$2")
mkdir -p "$3"
output=$(realpath "$3")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git -C "$(git rev-parse --show-toplevel)" archive --format=tar "$commit" | tar -x -C "$work"
cd "$work"

# The tools of the commit itself, in an environment of their own.
uv venv --quiet --managed-python --python "$python_version" tools
uv pip install --quiet --python tools/bin/python --require-hashes -r requirements.lock
ringforge() { PYTHONPATH="$work" tools/bin/python -m infra.cli "$@"; }

# Refuses a lock of inputs that somebody left open, before anything of the image is fetched.
ringforge release bill --commit "$commit" --output "$output/bill.json"
eval "$(tools/bin/python -c '
from infra.image.source import Source
from pathlib import Path
inputs = Source(Path()).inputs()
print(f"base={inputs.base.reference} SOURCE_DATE_EPOCH={inputs.source_date_epoch}")
')"
export SOURCE_DATE_EPOCH

mkdir context
cp requirements.lock infra/aws/Dockerfile context/
ringforge release application --output context/application.tar
# Wheels of the image's Python and processor, each with a digest of the lock.
uv pip install --quiet --python tools/bin/python --require-hashes --no-deps -r infra/aws/tools.lock
tools/bin/python -m pip download --quiet --require-hashes --no-deps --only-binary :all: \
  --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none \
  --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
  --dest context/wheels -r requirements.lock

docker buildx build --quiet --platform linux/amd64 --build-arg BASE="$base" --no-cache \
  --provenance=false --sbom=false --output "type=tar,dest=$output/root.tar" context

# Times, owners, permissions and order of what Docker wrote are normalised here.
ringforge release image --boot "$boot" --root "$output/root.tar" --output "$output/ringforge.eif"
ringforge operator measure "$output/ringforge.eif" > "$output/measurement.toml"
