#!/usr/bin/env bash
# Makes the certificates of deploy/compose.yaml with the collector's own `enroll`, inside its image:
# deploy/certificates/collector (the private CA and the collector's pair) and deploy/certificates/sensor.
# A further sensor of the fleet: deploy/enroll.sh NAME.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"

engine=${CONTAINER_ENGINE:-podman}
name=${1:-compose}
folder=sensor
[[ $name == compose ]] || folder=$name
mkdir -p "certificates/collector" "certificates/$folder"
"$engine" run --rm --user 0 --network none -v "$PWD/certificates:/certificates" --entrypoint /bin/sh netscope-collector -ec "
    netscope-collector enroll '$name' --dir /certificates/$folder --ca-dir /certificates/collector --host localhost,127.0.0.1
    chown -R 65532:65532 /certificates"
