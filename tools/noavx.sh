#!/bin/sh
# tools/noavx.sh OBJECTS PROGRAM - no AVX instruction outside the files that are compiled for it.
#
# One object compiled with the wrong flag would stop older processors only where it
# is run; here every instruction is looked at.  AVX instructions are those that
# name a ymm or zmm register, or begin with v (no other x86 instruction does but
# verr, verw and those of virtual machines).
# SPDX-License-Identifier: Apache-2.0
set -u
avx() { objdump -d --no-show-raw-insn "$1" | grep -cE '^ +[0-9a-f]+:.*(%[yz]mm|	v[a-uw-z]|	vm[^mclrsx])'; }
n=0 bad=0
for o in $(find "$1" -name '*.o' ! -name '*_avx2.o' ! -name '*_avx512.o' ! -name '*_vnni.o'); do
    n=$((n + 1))
    [ "$(avx "$o")" = 0 ] || { echo "noavx: $o has AVX instructions"; bad=$((bad + 1)); }
done
wide=$(avx "$2")
[ "$wide" -gt 1000 ] || { echo "noavx: AVX instructions are not recognized in $2 ($wide)"; bad=$((bad + 1)); }
echo "noavx: $n objects without an AVX instruction, $bad with; the program has $wide behind its dispatch"
[ "$bad" = 0 ]
