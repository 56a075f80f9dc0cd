#!/usr/bin/env bash
# Builds both images and runs them: `--version` in each, and the sensor over a capture. 77 where podman is absent.
#
# With a root and a run root of its own below the folder named, so that nobody else's images or containers are
# touched. NETSCOPE_TEST_BASE_IMAGE: a tar that `podman load` reads, where no registry can be reached.
set -euo pipefail
root=$1
work=$(mktemp -d)
command -v podman >/dev/null || {
    echo "SKIP: podman is not installed"
    exit 77
}
cat >"$work/containers.conf" <<TEXT
[containers]
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
TEXT
export CONTAINERS_CONF=$work/containers.conf
engine() { podman --root "$work/storage" --runroot "$work/run" "$@"; }
finish() {
    engine rm -fa >/dev/null 2>&1 || true
    engine unshare true >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT
[[ -z ${NETSCOPE_TEST_BASE_IMAGE:-} ]] || engine load -i "$NETSCOPE_TEST_BASE_IMAGE"
if ! engine image exists docker.io/library/debian:bookworm-slim &&
    ! engine pull -q docker.io/library/debian:bookworm-slim; then
    echo "SKIP: the image debian:bookworm-slim cannot be had here"
    exit 77
fi
for target in sensor collector; do
    engine build --network=host --target "$target" -t "netscope-$target" -f "$root/deploy/Containerfile" "$root"
    engine run --rm --cap-drop ALL --cap-add NET_RAW --network none "netscope-$target" --version
done
