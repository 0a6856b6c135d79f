#!/bin/sh
# tests/install.sh - make install and uninstall, and a program built against what was installed.
# SPDX-License-Identifier: Apache-2.0
set -u
cd "$(dirname "$0")/.."
passed=0 failed=0
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
make=${MAKE:-make}
cc=${CC:-gcc}
unset MAKEFLAGS MFLAGS MAKELEVEL BUILD

ok() { # what, status of a check
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $1"; cat "$temp/log"; fi
}

$make -s install "DESTDIR=$temp/root" PREFIX=/opt/sparsam "CC=$cc" >"$temp/log" 2>&1
status=$?
ok "make install" $status
[ "$status" = 0 ] || { echo "0 passed, $failed failed, 0 skipped"; exit 1; }
at=$temp/root/opt/sparsam
for f in bin/sparsam include/sparsam.h lib/libsparsam.so lib/libsparsam.a lib/pkgconfig/sparsam.pc share/man/man1/sparsam.1; do
    [ -s "$at/$f" ]; ok "$f is installed" $?
done
"$at/bin/sparsam" --version >"$temp/log" 2>&1; ok "the installed program runs" $?

# The staged root stands in for /: only the prefix differs.
export PKG_CONFIG_PATH="$at/lib/pkgconfig"
flags="$(pkg-config --define-variable=prefix="$at" --cflags sparsam) -L$at/lib -lsparsam"
$cc -std=c17 -Wall -Wextra -Werror -o "$temp/example" examples/version.c $flags >"$temp/log" 2>&1
ok "a program compiles against the installed library" $?
LD_LIBRARY_PATH="$at/lib" "$temp/example" >"$temp/log" 2>&1
ok "and runs with the shared library" $?
# Nothing but the public functions leaves the shared library.
nm -D --defined-only "$at/lib/libsparsam.so" | awk '$2 ~ /[TDBR]/ && $3 !~ /^sparsam_/' >"$temp/log"
[ ! -s "$temp/log" ]; ok "the shared library exports sparsam_* alone" $?

$make -s uninstall "DESTDIR=$temp/root" PREFIX=/opt/sparsam >"$temp/log" 2>&1
[ -z "$(find "$temp/root" ! -type d)" ]; ok "uninstall leaves no file" $?

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
