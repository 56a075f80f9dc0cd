#!/usr/bin/env bash
# Makes the certificates of deploy/kubernetes with the collector's own `enroll`: a private CA, the collector's pair and one
# pair for all nodes, whose sensors are called "node-" and the node's name. The CA's key, certificates/ca.key, goes into no
# secret: keep it. A sensor outside the cluster: deploy/kubernetes/enroll.sh NAME.
#
# By netscope-collector where it is installed (or NETSCOPE_COLLECTOR names it), else by its image (CONTAINER_ENGINE, podman).
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"

name=${1:-node-*}
service=netscope-collector.netscope
hosts=$service.svc,$service.svc.cluster.local,$service,localhost,127.0.0.1
program=${NETSCOPE_COLLECTOR:-$(command -v netscope-collector || true)}
collector=("$program")
if [[ -z $program ]]; then
    mkdir -p certificates
    collector=("${CONTAINER_ENGINE:-podman}" run --rm --user 0 --network none -v "$PWD/certificates:/certificates"
        --workdir / netscope-collector)
fi
"${collector[@]}" enroll "$name" --dir certificates --ca-dir certificates --host "$hosts" >/dev/null
echo "made in $PWD/certificates; next: kubectl apply -k $PWD"
