#!/bin/sh
# bench/memory.sh - the peak of memory that `sparsam train` predicts against the
# peak that was measured, for five shapes from 1 to 100 million parameters.
# usage: bench/memory.sh TEXT.txt      (SPARSAM: the program; STEPS: updates a run, 2)
# Ends with 1 when a prediction is off by more than 5 % and more than 16 MB.
# SPDX-License-Identifier: Apache-2.0
set -eu
text=${1:?usage: bench/memory.sh TEXT}
sparsam=${SPARSAM:-build/sparsam} steps=${STEPS:-2} bad=0
part=$(mktemp --suffix=.txt)
trap 'rm -f "$part"' EXIT
head -c 60000 "$text" > "$part"

# family layers width heads batch context recompute
shapes='llama 5 128 4 8 256 no
gpt2 6 256 8 8 256 no
llama 6 384 6 4 512 no
gpt2 8 512 8 4 256 yes
llama 14 768 12 1 256 no'

# peak ANSWER SECTION: the likely peak of "predicted" or "measured"
peak()
{
    printf '%s' "$1" | tr -d ' \n' | awk -v section="\"$2\":" '{
        s = substr($0, index($0, section)); s = substr(s, index(s, "\"memory_bytes\":"))
        s = substr(s, index(s, "\"peak\":")); s = substr(s, index(s, "\"likely\":") + 9); print s + 0 }'
}

run()
{
    [ "$7" = yes ] && again="--recompute full" || again=
    "$sparsam" train --json --data "$part" --split blank --tokenizer bytes --no-ledger --family "$1" --layers "$2" --width "$3" --heads "$4" \
        --batch "$5" --context "$6" --steps "$steps" $again
}

printf '%-28s %12s %12s %12s %9s %8s\n' shape parameters predicted_MB measured_MB off_MB off_%
while read -r family layers width heads batch context again; do
    answer=$(run "$family" "$layers" "$width" "$heads" "$batch" "$context" "$again")
    n=$(printf '%s' "$answer" | tr -d ' \n' | sed 's/.*"predicted":.*"parameters":{"low":[^,]*,"likely":\([0-9.e+]*\).*/\1/')
    printf '%s %s %s %s\n' "$family-${layers}x$width-b$batch-t$context$([ "$again" = yes ] && echo -again)" "$n" \
        "$(peak "$answer" predicted)" "$(peak "$answer" measured)" |
        awk '{ d = $4 - $3; a = d < 0 ? -d : d; bad = a > 16e6 && a > 0.05 * $4
               printf "%-28s %12.0f %12.1f %12.1f %9.1f %8.1f%s\n", $1, $2, $3 / 1e6, $4 / 1e6, d / 1e6, 100 * d / $4, bad ? "  !" : ""; exit bad }' || bad=1
done <<EOF
$shapes
EOF
exit $bad
