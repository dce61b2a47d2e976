#!/bin/bash
# Give the builder container what the build needs: the newer release's sources, its debhelper, the build dependencies
# and the source package. Each step leaves a stamp, so that a second run continues where the first was interrupted.
#
# Environment: MIRROR, CHECK_VALID_UNTIL (yes|no), APT_PROXY (may be empty).
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=source.env
. "$here/source.env"
export DEBIAN_FRONTEND=noninteractive

build=/build
mkdir -p "$build"

configure_apt() {
    {
        [ "$CHECK_VALID_UNTIL" = yes ] || echo 'Acquire::Check-Valid-Until "false";'
        [ -z "$APT_PROXY" ] || echo "Acquire::http::Proxy \"$APT_PROXY\";"
        echo 'Acquire::Retries "3";'
        echo 'Acquire::Languages "none";'
    } >/etc/apt/apt.conf.d/90centralino

    cat >/etc/apt/sources.list.d/"$RELEASE".sources <<EOF
Types: deb deb-src
URIs: $MIRROR
Suites: $RELEASE
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
EOF

    # From the newer release comes the packaging helper alone; libraries stay those of the release built for.
    cat >/etc/apt/preferences.d/"$RELEASE" <<EOF
Package: *
Pin: release n=$RELEASE
Pin-Priority: -10

Package: debhelper libdebhelper-perl
Pin: release n=$RELEASE
Pin-Priority: 900
EOF

    # A builder container is thrown away: nothing is gained by flushing each unpacked file to the disk.
    echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/builder
}

# The newest version of the series that the newer release offers, without the epoch: "22.10.1+dfsg+~cs6…-1".
offered_version() {
    apt-cache showsrc --only-source asterisk |
        sed -n 's/^Version: //p' | sort --version-sort | tail -n 1
}

fetch_source() {
    local offered upstream
    offered=$(offered_version)
    upstream=${offered#*:}
    if [ "${upstream%%.*}" != "$SERIES" ] || dpkg --compare-versions "$upstream" lt "$MINIMUM"; then
        echo "FAILURE: Debian $RELEASE offers Asterisk '${offered:-none}', but recipe/source.env asks for $SERIES.x from $MINIMUM on"
        exit 1
    fi
    apt-get build-dep --yes --no-install-recommends --build-profiles nodoc,nocheck "asterisk=$offered"
    cd "$build"
    rm -f ./*.dsc ./*.tar.*
    apt-get -o APT::Sandbox::User=root source --download-only --only-source "asterisk=$offered"
    echo "$offered" >version
}

if [ ! -e "$build/tools.stamp" ]; then
    configure_apt
    apt-get update
    apt-get install --yes --no-install-recommends \
        apt-utils build-essential ccache debhelper devscripts eatmydata fakeroot gpg gpg-agent
    touch "$build/tools.stamp"
fi
if [ ! -e "$build/source.stamp" ]; then
    fetch_source
    touch "$build/source.stamp"
fi
