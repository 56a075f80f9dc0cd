#!/usr/bin/env bash
# Debian packages of what is built: netscope-sensor, netscope-collector, netscopectl.
#
#   deploy/debian/packages.sh BIN OUT [VERSION]     programs of BIN into OUT/*.deb; `./netscope package` does it all
#
# The units are those of deploy/systemd. Nothing is started and no user is made (DynamicUser=): an installation changes
# what runs only where a service runs already, which is then restarted. Settings are conffiles: changed ones stay.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)

die() {
    printf 'packages.sh: %s\n' "$*" >&2
    exit 1
}

(($# == 2 || $# == 3)) || die "usage: packages.sh BIN OUT [VERSION]"
bin=$(readlink -f "$1")
mkdir -p "$2"
out=$(readlink -f "$2")
notices=$(dirname "$bin")/THIRD_PARTY_NOTICES
[[ -s $notices ]] || die "$notices is not there: build the target third_party_notices"
for tool in dpkg-deb dpkg-shlibdeps strip; do
    command -v "$tool" >/dev/null || die "$tool is not installed (Debian: dpkg-dev, binutils)"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Later builds are higher versions, so that apt upgrades from one to the next.
version_of_source() {
    local version commits
    version=$("$bin/netscope-sensor" --version | awk '{print $2}')
    if commits=$(git -C "$root" rev-list --count HEAD 2>/dev/null); then
        version+="+$commits.$(git -C "$root" rev-parse --short=8 HEAD)"
    fi
    printf '%s\n' "$version"
}

# The packages of the libraries that a program is linked to.
libraries_of() {
    mkdir -p "$work/debian"
    printf 'Source: netscope\n\nPackage: netscope\nArchitecture: any\n' >"$work/debian/control"
    (cd "$work" && dpkg-shlibdeps -O "$1" 2>/dev/null) | sed -n 's/^shlibs:Depends=//p'
}

# What dpkg runs: NAME UNIT STATE. Not where it installs into another root, nor where no systemd runs.
scripts_of_service() {
    local folder=$1 unit=$2 state=$3
    cat >"$folder/postinst" <<SCRIPT
#!/bin/sh
set -e
if [ "\$1" = configure ] && [ -z "\${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl try-restart $unit
fi
SCRIPT
    cat >"$folder/prerm" <<SCRIPT
#!/bin/sh
set -e
if [ "\$1" = remove ] && [ -z "\${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
    systemctl disable --now $unit
fi
SCRIPT
    cat >"$folder/postrm" <<SCRIPT
#!/bin/sh
set -e
if [ "\$1" = purge ]; then
    rm -rf "\${DPKG_ROOT:-}/var/lib/$state" "\${DPKG_ROOT:-}/var/lib/private/$state"
fi
if [ -z "\${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
SCRIPT
    chmod 755 "$folder/postinst" "$folder/prerm" "$folder/postrm"
}

# NAME DESCRIPTION: the tree $work/NAME, to which callers add before they call finish_package.
begin_package() {
    local name=$1 tree=$work/$1
    install -d "$tree/DEBIAN" "$tree/usr/bin" "$tree/usr/share/doc/$name"
    strip -o "$tree/usr/bin/$name" "$bin/$name"
    chmod 755 "$tree/usr/bin/$name"
    install -d "$tree/usr/share/man/man1"
    "$bin/$name" --print-man | gzip -9n >"$tree/usr/share/man/man1/$name.1.gz"
    cat "$root/LICENSE" "$notices" >"$tree/usr/share/doc/$name/copyright"
    chmod 644 "$tree/usr/share/doc/$name/copyright"
}

finish_package() {
    local name=$1 description=$2 tree=$work/$1
    chmod -R u=rwX,go=rX "$tree/usr" # whatever the umask is
    cat >"$tree/DEBIAN/control" <<CONTROL
Package: $name
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: The NetScope authors <maintainers@netscope.invalid>
Section: net
Priority: optional
Installed-Size: $(du -k -s "$tree" | cut -f1)
Depends: $(libraries_of "$tree/usr/bin/$name")
Suggests: netscopectl
Description: $description
CONTROL
    [[ $name != netscopectl ]] || sed -i '/^Suggests:/d' "$tree/DEBIAN/control"
    dpkg-deb --root-owner-group -Zxz --build "$tree" "$out/${name}_${version}_$(dpkg --print-architecture).deb" >/dev/null
}

# PROGRAM SETTINGS STATE: a program with its unit and its settings.
service_package() {
    local name=netscope-$1 state=$2 tree=$work/netscope-$1
    begin_package "$name"
    install -D -m 644 "$root/deploy/systemd/$name.service" "$tree/lib/systemd/system/$name.service"
    install -D -m 644 "$root/config/$1.yaml" "$tree/etc/netscope/$1.yaml"
    printf '/etc/netscope/%s.yaml\n' "$1" >"$tree/DEBIAN/conffiles"
    scripts_of_service "$tree/DEBIAN" "$name.service" "$state"
}

version=${3:-$(version_of_source)}
service_package sensor netscope
finish_package netscope-sensor "packets to flows, names, health figures and alerts"
service_package collector netscope-collector
finish_package netscope-collector "a fleet of NetScope sensors: history, REST and the dashboard"
begin_package netscopectl
completions=$work/netscopectl/usr/share
install -d "$completions/bash-completion/completions" "$completions/zsh/vendor-completions" "$completions/fish/vendor_completions.d"
"$bin/netscopectl" completion bash >"$completions/bash-completion/completions/netscopectl"
"$bin/netscopectl" completion zsh >"$completions/zsh/vendor-completions/_netscopectl"
"$bin/netscopectl" completion fish >"$completions/fish/vendor_completions.d/netscopectl.fish"
finish_package netscopectl "asks sensors and collectors of NetScope from a terminal"
ls -1 "$out"/*_"$version"_*.deb
