#!/bin/sh
# base.sh FOLDER: the lowest layer of every image, from Debian's packages: Python, libc, certificates, a shell.
# Packages are unpacked, not configured: neither apt nor dpkg nor Perl is in it. Needs root, mmdebstrap and Debian's archive key.
set -eu
root=$1
export SOURCE_DATE_EPOCH=0
# Scanners look there for what is in an image that has no dpkg.
note_packages='for deb in "$1"/var/cache/apt/archives/*.deb; do
  mkdir -p "$1/var/lib/dpkg/status.d"
  dpkg-deb -f "$deb" >"$1/var/lib/dpkg/status.d/$(dpkg-deb -f "$deb" Package)"
done'
mmdebstrap --mode=root --variant=extract --format=directory --quiet \
  --include=base-files,coreutils,dash,libc-bin,libgcc-s1,libstdc++6,python3-minimal,libpython3-stdlib,ca-certificates,tzdata \
  --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/lib/*/gconv/*' \
  --dpkgopt='path-exclude=/usr/share/zoneinfo/right/*' --dpkgopt='path-exclude=/usr/share/zoneinfo/posix/*' \
  --extract-hook="$note_packages" bookworm "$root"
(
  cd "$root"
  rm -rf dev etc/apt etc/cron.daily etc/fstab etc/hostname etc/resolv.conf lib/systemd var/cache var/log var/lib/apt
  rm -rf usr/bin/dpkg* usr/bin/debconf* usr/bin/update-alternatives usr/sbin/dpkg* usr/share/debconf usr/share/perl5
)
mkdir -p "$root/dev" "$root/var/lib/odeon"

# What the packages' scripts would have done, as far as it is needed.
cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
ln -s python3 "$root/usr/bin/python"
cat >"$root/etc/passwd" <<'EOF'
root:x:0:0:root:/root:/bin/sh
postgres:x:999:999:PostgreSQL:/var/lib/postgresql:/bin/sh
odeon:x:65532:65532:Odeon:/tmp:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
EOF
cat >"$root/etc/group" <<'EOF'
root:x:0:
postgres:x:999:
odeon:x:65532:
nogroup:x:65534:
EOF
# A root that cannot be written keeps no bytecode, so it is made here; by content, since times are not kept.
chroot "$root" python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3.11
