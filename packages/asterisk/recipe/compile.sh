#!/bin/bash
# Build the binary packages from a fresh source tree. What an interrupted run compiled comes from the compiler cache,
# so nothing of a half-built tree is trusted.
#
# Environment: JOBS. The compiler cache is mounted at /ccache.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=source.env
. "$here/source.env"

cd /build
rm -rf tree ./*.deb ./*.buildinfo ./*.changes
dpkg-source --no-check --extract ./*.dsc tree
cd tree

# "…-1~centralino13+1" sorts before Debian's own "…-1": a guest upgraded to the next Debian moves to Debian's package.
export DEBFULLNAME='Centralino packages' DEBEMAIL=packages@centralino.invalid
dch --newversion "$(cat /build/version)~centralino$TARGET_VERSION+$REVISION" --distribution "$TARGET" \
    --force-distribution --force-bad-version "Rebuild for Debian $TARGET_VERSION."

export CCACHE_DIR=/ccache CCACHE_MAXSIZE=600M PATH="/usr/lib/ccache:$PATH"
# No documentation (it would need more tools), no tests (Debian ran them), no detached debug symbols; "terse" makes one
# short line a file, which the progress display reads.
export DEB_BUILD_PROFILES='nodoc nocheck' DEB_BUILD_OPTIONS="nodoc nocheck noautodbgsym terse parallel=$JOBS"
export DEB_CFLAGS_STRIP=-g DEB_CXXFLAGS_STRIP=-g

exec nice -n 5 eatmydata dpkg-buildpackage --no-sign --build=binary
