#!/bin/sh
# tools/setup.sh - installs the Debian packages of packages.txt that are missing.
# Already there: instant and silent.  Root or password-free sudo: installs.
# Otherwise: prints the one command to run and exits with status 1.
# SPARSAM_SKIP_SETUP=1: trust the machine (other distributions).
# SPDX-License-Identifier: Apache-2.0
set -eu
cd "$(dirname "$0")/.."

[ "${SPARSAM_SKIP_SETUP:-}" = 1 ] && exit 0
wanted=$(sed -e 's/#.*//' packages.txt | tr -s ' \t\n' ' ')

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "set-up: this is not a Debian system (no dpkg-query), so packages cannot be installed here." >&2
    echo "        Install what these Debian packages hold:$wanted" >&2
    echo "        then run make again with SPARSAM_SKIP_SETUP=1." >&2
    exit 1
fi

there=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' $wanted 2>/dev/null | sed -n 's/ installed$//p') || true
missing=
for p in $wanted; do
    printf '%s\n' "$there" | grep -qx -- "$p" || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

command="apt-get update && apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then
    as=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as="sudo -n"
else
    echo "set-up: missing packages, and neither root nor password-free sudo to install them.  Run as root:" >&2
    echo "    $command" >&2
    exit 1
fi

echo "set-up: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# An update that fails (no network, but lists and archives cached) need not be the end.
$as apt-get update -q >&2 || echo "set-up: apt-get update failed; trying with the lists at hand" >&2
if ! $as apt-get install -q -y --no-install-recommends $missing >&2; then
    echo "set-up: installing failed.  Once the cause above is gone, run make again, or as root:" >&2
    echo "    $command" >&2
    exit 1
fi
