#!/bin/sh
# Build the container once and start a command of the harness in it:
#   sh devices/containers/jetson-nano/run.sh                       the doctor
#   sh devices/containers/jetson-nano/run.sh harness.run --quick   a run
# DATA=FOLDER is where results and generated data go (default: ./nano-data).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../../.." && pwd)
image=mas-edge-harness:nano
data=${DATA:-$PWD/nano-data}
mkdir -p "$data"

if ! docker image inspect "$image" >/dev/null 2>&1; then
    DOCKER_BUILDKIT=1 docker build -f "$here/Dockerfile" -t "$image" "$checkout"
fi

# Rails, thermal zones and clocks are files under /sys: it is mounted read-only. The runtime hides
# the device tree, which says what board this is, unless system paths are unconfined.
set -- --rm --user "$(id -u):$(id -g)" \
    -v /sys:/sys:ro --security-opt systempaths=unconfined \
    -v "$data:/data" "$image" "$@"
for file in /etc/nv_tegra_release /etc/nvpmodel.conf /var/lib/nvpmodel/status; do
    if [ -r "$file" ]; then
        set -- -v "$file:$file:ro" "$@"
    fi
done
exec docker run "$@"
