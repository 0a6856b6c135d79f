#!/bin/sh
# tools/headers.sh COMPILER FLAGS... - every header compiles alone.
# Not *_vec.h and *_body.h: texts that one kernel file an instruction set includes
# after it has said how wide its vectors are.
# SPDX-License-Identifier: Apache-2.0
set -u
cd "$(dirname "$0")/.."
n=0 bad=0
for h in $(find src include -name '*.h' ! -name '*_vec.h' ! -name '*_body.h' | sort); do
    room=$(echo "$h" | sed -n "s|^\(src/[^/]*\)/.*|\1|p")
    if printf '#include "%s"\ntypedef int not_empty;\n' "$PWD/$h" | "$@" "-I${room:-include}" -fsyntax-only -x c -; then
        n=$((n + 1))
    else
        echo "headers: $h does not compile alone"
        bad=$((bad + 1))
    fi
done
echo "headers: $n compile alone, $bad do not"
[ "$bad" = 0 ]
