#!/bin/sh
# tools/emulators.sh arm64|noavx - says what to install when the tools for that goal are missing.
#
# It installs nothing by itself: a foreign architecture changes the machine's package lists.
# SPDX-License-Identifier: Apache-2.0
set -u
cd "$(dirname "$0")/.."

if [ "$1" = noavx ]; then
    command -v qemu-x86_64 >/dev/null 2>&1 && exit 0
    echo "make noavx needs the user-mode emulator qemu-x86_64.  On Debian, as root:" >&2
    echo "    apt-get install -y --no-install-recommends qemu-user" >&2
    exit 1
fi

# The libraries of packages.txt for Arm.  Of oneDNN the library alone, which is loaded at run time: its header
# files for two processors cannot stand side by side.
libraries=$(sed -n -e 's/libdnnl-dev/libdnnl2/' -e 's/^\(lib[a-z0-9-]*\|zlib1g-dev\)$/\1:arm64/p' packages.txt | tr '\n' ' ')
missing=
for tool in aarch64-linux-gnu-gcc qemu-aarch64; do
    command -v $tool >/dev/null 2>&1 || missing="$missing $tool"
done
for l in $libraries; do
    dpkg-query -W -f='${db:Status-Status}\n' "$l" 2>/dev/null | grep -qx installed || missing="$missing $l"
done
[ -z "$missing" ] && exit 0
echo "make arm64 needs a cross compiler, the user-mode emulator, and the libraries for Arm; missing:$missing" >&2
echo "On Debian, as root:" >&2
echo "    dpkg --add-architecture arm64 && apt-get update" >&2
echo "    apt-get install -y --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user libc6:arm64 $libraries" >&2
exit 1
