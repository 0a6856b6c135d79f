#!/bin/sh
# tests/disk.sh - a full disk, a folder that may not be written to, a checkpoint
# damaged on the disk: one sentence, status 1, and the last good checkpoint is used.
# SPDX-License-Identifier: Apache-2.0
set -u
cd "$(dirname "$0")/.."
build=$PWD/${BUILD:-build}
passed=0 failed=0 skipped=0
temp=$(mktemp -d)
chmod 755 "$temp"
trap 'umount "$temp/small" 2>/dev/null; chmod -R u+w "$temp"; rm -rf "$temp"' EXIT
unset SPARSAM_ZONE SPARSAM_CATALOG SPARSAM_FAULT
export SPARSAM_LEDGER="$temp/ledger.db"
cp "$build/sparsam" "$temp/sparsam" && chmod 755 "$temp/sparsam" # another user may not see into the build

ok() { # what, status of a check
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $1"; tail -n 5 "$temp/out" "$temp/err"; fi
}
gives() { # status, command...
    want=$1
    shift
    "$@" >"$temp/out" 2>"$temp/err"
    status=$?
    [ "$status" = "$want" ]; ok "exit status $status, wanted $want" $?
}
says() { grep -q -e "$1" "$temp/err"; ok "\"$1\" is said" $?; }
one_sentence() { [ "$(wc -l <"$temp/err")" = 1 ]; ok "one line is said" $?; }
train() { # steps, folder
    "$temp/sparsam" train --data "$temp/text.txt" --tokenizer bytes --layers 1 --width 32 --heads 2 --context 16 --batch 2 --schedule constant --steps "$1" \
        --checkpoint-every 5 --threads 1 ${loud---quiet} --out "$2"
}
with_fault() { (export SPARSAM_FAULT="$1" LD_PRELOAD="$build/tests/fault.so"; shift; "$@"); }
weights() { sha256sum <"$1/model.safetensors"; }
flip() { # file, bytes from its end
    at=$(($(wc -c <"$1") - $2))
    byte=$(dd if="$1" bs=1 skip="$at" count=1 2>/dev/null | od -An -tu1 | tr -d ' ')
    printf "$(printf '\\%03o' $((byte ^ 1)))" | dd of="$1" bs=1 seek="$at" conv=notrunc 2>/dev/null
}

awk 'BEGIN { srand(3); for (i = 0; i < 200; i++) { s = ""; for (k = 0; k < 12; k++) s = s sprintf("%c%c ", 97 + int(rand() * 9), 97 + i % 7); print s; if (i % 40 == 39) print "<|endoftext|>" } }' \
    >"$temp/text.txt"
gives 0 with_fault "count:$temp/calls" train 20 "$temp/whole"
calls=$(cat "$temp/calls")

# full from some call on; with room again it goes on
for at in $((calls / 2)) 9; do
    gives 1 with_fault "full@$at" train 20 "$temp/full"
    one_sentence; says "No space left\|disk is full\|ledger.db: .*disk"
done
gives 0 train 20 "$temp/full"
[ "$(weights "$temp/whole")" = "$(weights "$temp/full")" ]; ok "the weights are those of a run with room" $?

# a small disk, where one may be mounted
mkdir "$temp/small"
if mount -t tmpfs -o size=1500k none "$temp/small" 2>/dev/null; then
    gives 0 train 5 "$temp/small/model"
    dd if=/dev/zero of="$temp/small/filler" bs=1k count=10000 2>/dev/null
    before=$(sha256sum "$temp/small/model/checkpoint.safetensors")
    gives 1 train 20 "$temp/small/model"
    one_sentence; says "No space left"; says "free some space"
    [ "$before" = "$(sha256sum "$temp/small/model/checkpoint.safetensors")" ]; ok "the last checkpoint is as it was" $?
    [ -z "$(find "$temp/small" -name '*.tmp-*')" ]; ok "no half file is left" $?
    gives 1 "$temp/sparsam" report --ledger "$temp/small/ledger.db"
    one_sentence; says "disk is full"; says "--no-ledger"
    gives 3 "$temp/sparsam" measure --ledger "$temp/small/ledger.db" -- sh -c 'exit 3' # the command ran: its status stays
    says "not booked"; says "disk is full"
    rm "$temp/small/filler"
    gives 0 train 20 "$temp/small/model"
    [ "$(weights "$temp/whole")" = "$(weights "$temp/small/model")" ]; ok "with room again it ends with the same weights" $?
    umount "$temp/small"
else
    skipped=$((skipped + 1))
fi

# a smaller model on a full disk: the file that stood there stays, nothing half-written is left; killed: the same
quantize() { # format, file
    "$temp/sparsam" quantize "$temp/whole" --to "$1" --tokenizer none --quiet --threads 1 --no-judge -o "$2"
}
mkdir "$temp/less"
for f in q8_0 q4_0 q6_k; do gives 0 quantize $f "$temp/$f.gguf"; done
cp "$temp/q8_0.gguf" "$temp/less/model.gguf"
is_one_of() { # file, formats...
    model=$1
    shift
    for f in "$@"; do cmp -s "$model" "$temp/$f.gguf" && return 0; done
    return 1
}
gives 0 with_fault "count:$temp/calls" quantize q4_0 "$temp/less/other.gguf"
calls=$(cat "$temp/calls")
at=1 met=0
while [ $at -le "$calls" ]; do
    with_fault "full@$at" quantize q4_0 "$temp/less/model.gguf" >"$temp/out" 2>"$temp/err"
    if [ $? = 1 ]; then
        met=$((met + 1))
        one_sentence; says "No space left\|disk is full\|ledger.db: .*disk"
    fi
    is_one_of "$temp/less/model.gguf" q8_0 q4_0; ok "full at call $at: the model is whole" $?
    [ -z "$(find "$temp/less" -name '*.tmp-*')" ]; ok "full at call $at: no half file is left" $?
    at=$((at + 1 + calls / 12))
done
[ $met -gt 2 ]; ok "$met runs met a full disk" $?
at=2 met=0
while [ $at -le "$calls" ]; do
    (with_fault "kill@$at" quantize q6_k "$temp/less/model.gguf") >"$temp/out" 2>"$temp/err"
    [ $? = 137 ] && met=$((met + 1))
    is_one_of "$temp/less/model.gguf" q8_0 q4_0 q6_k; ok "killed at call $at: the model is whole" $?
    at=$((at + 1 + calls / 12))
done
[ $met -gt 2 ]; ok "$met runs were killed" $?
gives 0 quantize q4_0 "$temp/less/model.gguf"
is_one_of "$temp/less/model.gguf" q4_0; ok "with room and time it becomes what it should" $?
[ -z "$(find "$temp/less" -name '*.tmp-*')" ]; ok "what killed runs left is gone" $?

# a folder that may not be written to
mkdir -m 555 "$temp/locked"
mkdir -m 777 "$temp/open"
as_nobody() { "$@"; }
[ "$(id -u)" = 0 ] && as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
export HOME="$temp/open"
if as_nobody true 2>/dev/null; then
    chmod -R a+rX "$temp/whole"
    export SPARSAM_LEDGER="$temp/open/ledger.db"
    nobody_trains() { as_nobody "$temp/sparsam" train --data "$temp/text.txt" --tokenizer bytes --layers 1 --width 32 --heads 2 --context 16 --batch 2 --steps 20 \
        --threads 1 --quiet --out "$1"; }
    gives 1 nobody_trains "$temp/locked/model"; one_sentence; says "$temp/locked/model"; says "Permission denied"; says "may be written to"
    gives 1 nobody_trains "$temp/locked"; one_sentence; says "$temp/locked/"; says "Permission denied"; says "may be written to"
    gives 1 as_nobody "$temp/sparsam" report --ledger "$temp/locked/ledger.db"; one_sentence; says "$temp/locked/ledger.db"; says "ledger"
else
    skipped=$((skipped + 1))
fi
export SPARSAM_LEDGER="$temp/ledger.db"

# damaged on the disk: told once, and the end is the same
gives 0 train 10 "$temp/hurt"
flip "$temp/hurt/checkpoint.safetensors" 1000
loud= gives 0 train 20 "$temp/hurt"
[ "$(grep -c damaged "$temp/err")" = 1 ]; ok "one line says that it is damaged" $?
says "checkpoint.safetensors is damaged: .*; the checkpoint before it is used (step 5)"
[ "$(weights "$temp/whole")" = "$(weights "$temp/hurt")" ]; ok "the weights are those of the run that nobody hurt" $?
flip "$temp/hurt/checkpoint.safetensors" 1
flip "$temp/hurt/checkpoint.old.safetensors" 1
gives 1 train 20 "$temp/hurt"
one_sentence; says "checkpoint.safetensors is damaged"; says "no-resume"

"$build/sparsam" report --verify >"$temp/out" 2>"$temp/err"; ok "the chain is whole" $?
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
