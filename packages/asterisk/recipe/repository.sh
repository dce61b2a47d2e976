#!/bin/bash
# Make the flat APT repository in /out from the packages in /build and sign it with the key in /keys, which is made once.
# A flat repository is one folder of static files: any web server can hand it out.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=source.env
. "$here/source.env"

key=/keys/asterisk-repository.key
version=$(cat /build/version)~centralino$TARGET_VERSION+$REVISION

# Debian's asterisk depends on a set of sample files or on a package that stands in for them. The role "asterisk" writes
# every file itself, so this one stands in: no sample is ever live.
config_package() {
    local root
    root=$(mktemp --directory)
    install -d -m 0755 "$root/DEBIAN"
    cat >"$root/DEBIAN/control" <<EOF
Package: centralino-asterisk-config
Version: $version
Architecture: all
Section: comm
Priority: optional
Maintainer: Centralino packages <packages@centralino.invalid>
Provides: asterisk-config-custom
Conflicts: asterisk-config, asterisk-config-custom
Replaces: asterisk-config
Description: stands in for Asterisk's sample configuration
 Satisfies the dependency of Debian's asterisk package on a configuration
 without installing the sample files, which would be live.
EOF
    chmod 0755 "$root"
    dpkg-deb --root-owner-group --build "$root" /out >/dev/null
    rm -rf "$root"
}

rm -rf /out/*
for package in $PACKAGES; do
    cp /build/"${package}"_*.deb /out/
done
config_package

cd /out
apt-ftparchive packages . | sed 's|^Filename: \./|Filename: |' >Packages
gzip --keep --no-name -9 Packages
install -d -m 0755 by-hash/SHA256
for index in Packages Packages.gz; do
    cp "$index" "by-hash/SHA256/$(sha256sum <"$index" | cut -d ' ' -f 1)"
done
apt-ftparchive \
    -o APT::FTPArchive::Release::Origin=Centralino \
    -o APT::FTPArchive::Release::Label=Centralino \
    -o APT::FTPArchive::Release::Suite="$TARGET" \
    -o APT::FTPArchive::Release::Codename="$TARGET" \
    -o APT::FTPArchive::Release::Architectures="$(dpkg --print-architecture)" \
    -o APT::FTPArchive::Release::Acquire-By-Hash=true \
    -o APT::FTPArchive::MD5=false -o APT::FTPArchive::SHA1=false \
    release . >/tmp/Release
mv /tmp/Release Release

GNUPGHOME=$(mktemp --directory)
export GNUPGHOME
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
if [ ! -s "$key" ]; then
    gpg --batch --quiet --passphrase '' --quick-generate-key \
        'Centralino packages <packages@centralino.invalid>' ed25519 sign never
    (umask 077 && gpg --batch --armor --export-secret-keys >"$key.new")
    chown --reference=/keys "$key.new"
    mv "$key.new" "$key"
else
    gpg --batch --quiet --import "$key"
fi
gpg --batch --armor --export >centralino.asc
gpg --batch --yes --digest-algo SHA512 --armor --detach-sign --output Release.gpg Release
gpg --batch --yes --digest-algo SHA512 --clearsign --output InRelease Release
echo "$version" >version
chmod -R u=rwX,go=rX .
chown -R --reference=/out . # the person who builds, where podman runs through sudo
