#!/bin/sh
# tests/mpi.sh - several processes under mpirun train as one does: same losses, same
# checkpoints, one voice; a lost rank costs no more than the steps since the last one.
# SPDX-License-Identifier: Apache-2.0
set -u
cd "$(dirname "$0")/.."
program=$PWD/${BUILD:-build}/sparsam
passed=0 failed=0
if ! command -v mpirun >/dev/null 2>&1; then
    echo "mpirun is not installed"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
export SPARSAM_LEDGER="$temp/ledger.db" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
unset SPARSAM_ZONE SPARSAM_CATALOG

ok() { # what, status of a check
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $1"; cat "$temp/out" "$temp/err"; fi
}
says() { grep -q -e "$2" "$temp/$1"; ok "\"$2\" in $1" $?; }
once() { [ "$(grep -c -e "$1" "$temp/err")" = 1 ]; ok "\"$1\" is said once" $?; }

awk 'BEGIN { for (i = 0; i < 4000; i++) printf "%d plus %d is %d.%s", i % 89, i % 7, i % 89 + i % 7, i % 5 ? " " : "\n" }' >"$temp/text.txt"
recipe="--data $temp/text.txt --tokenizer chars --layers 2 --width 32 --heads 2 --context 32 --batch 4 --accumulate 2 --schedule constant --threads 1"
one() { # arguments of train
    "$program" train $recipe "$@" --json >"$temp/out" 2>"$temp/err"
}
under() { # arguments of mpirun
    timeout 200 mpirun --oversubscribe --bind-to none "$@" >"$temp/out" 2>"$temp/err"
}
ranks() { # how many, arguments of train
    n=$1
    shift
    under -n "$n" "$program" train $recipe "$@" --json
}
# The losses of a run's steps, one a line; two such lists, equal to five digits and $3 long.
losses() { sed -n '/"steps"/,/\]/s/^ *"loss": *\([0-9.e+-]*\).*/\1/p' "$temp/out" >"$temp/$1"; }
same() {
    paste "$temp/$1" "$temp/$2" | awk -v want="$3" '
        { d = $1 - $2; if (NF != 2 || d > 1e-5 * $2 || d < -1e-5 * $2) bad++; n++ } END { exit bad > 0 || n != want }'
    ok "$1 has the losses of $2" $?
}

# same losses and one form of checkpoint; one process loads nothing of MPI
LD_DEBUG=files one --steps 8 --out "$temp/a"; ok "one process trains" $?
! grep -q libmpi "$temp/err"; ok "one process doesn't load MPI" $?
losses one
ranks 2 --steps 8 --out "$temp/b"; ok "two ranks train" $?
[ "$(grep -c '"schema"' "$temp/out")" = 1 ]; ok "one answer" $?
losses two
same two one 8
[ "$(head -c 400 "$temp/a/checkpoint.safetensors" | od -c)" = "$(head -c 400 "$temp/b/checkpoint.safetensors" | od -c)" ] &&
    [ "$(wc -c <"$temp/a/checkpoint.safetensors")" = "$(wc -c <"$temp/b/checkpoint.safetensors")" ]
ok "checkpoints have one form" $?

# any number goes on from any other's; three can't share the batch evenly
cp -r "$temp/a" "$temp/c"
one --steps 12 --out "$temp/a"; losses from_one
one --steps 12 --out "$temp/b"; losses two_then_one
ranks 3 --steps 12 --out "$temp/c"; losses one_then_three
same two_then_one from_one 4
same one_then_three from_one 4

# one voice, one booked run a command
under -n 2 "$program" train $recipe --steps 4 --dropout 0.2; ok "two ranks train with dropout" $?
once "^Predicted:"; [ "$(grep -c '^Trained' "$temp/out")" = 1 ]; ok "one rank speaks" $?
"$program" report --json >"$temp/out" 2>"$temp/err"
[ "$(grep -c '"started"' "$temp/out")" = 6 ]; ok "six runs are booked" $?

# what only one rank can see is said by one, and all end
ranks 5; [ $? != 0 ]; ok "five ranks can't share four sequences" $?
once "sparsam train: 5 ranks"
: >"$temp/file"
ranks 2 --steps 2 --out "$temp/file/under"; [ $? != 0 ]; ok "a folder that can't be made" $?
once "sparsam train: .*file"
under -n 1 "$program" train $recipe --steps 2 --no-ledger : -n 1 "$program" train $recipe --steps 2 --seed 9 --no-ledger
[ $? != 0 ]; ok "other recipes don't train together" $?
once "sparsam train: .*another recipe"

# a lost rank: the run ends with a sentence, the checkpoint is whole
for victim in 1 0; do
    rm -rf "$temp/k"
    ranks 2 --steps 1000000 --checkpoint-every 5 --out "$temp/k" &
    job=$!
    for i in $(seq 900); do
        [ -f "$temp/k/checkpoint.old.safetensors" ] && break
        sleep 0.1
    done
    for p in $(pgrep -f "$program train.*--out $temp/k"); do
        grep -qz "^OMPI_COMM_WORLD_RANK=$victim\$" "/proc/$p/environ" 2>/dev/null && kill -9 "$p"
    done
    wait "$job"
    [ $? != 0 ]; ok "a run that lost rank $victim fails" $?
    once "rank $victim of 2 is lost.*goes on from the checkpoint of step"
done
step=$(sed -n 's/.*the checkpoint of step \([0-9]*\).*/\1/p' "$temp/err")
one --steps $((step + 3)) --out "$temp/k"; ok "one process goes on from it" $?
losses after
[ "$(wc -l <"$temp/after")" -le 3 ]; ok "from step $step" $?

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
