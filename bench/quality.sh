#!/bin/bash
# bench/quality.sh - how much a model loses at a file size: `sparsam quantize --size` and every type of llama-quantize
# with importance from the same text, all judged by llama-perplexity: one line a file, bytes, mean KL divergence from
# the f16 file with its error, perplexity, for each text.
#
#   LLAMA_CPP=FOLDER bench/quality.sh MODEL CALIBRATION.txt TEXT.txt...
#
# LLAMA_CPP: where llama-imatrix, llama-quantize and llama-perplexity are.  CONTEXT 256, CHUNKS 150, WINDOWS 400 (of the
# calibration text), THREADS 2, TYPES: the rival's; SIZES: ours in bytes, else those of the rival's files; WORK: a folder for
# files, kept if given: what is there already isn't made again.
# SPDX-License-Identifier: Apache-2.0
set -eu
[ $# -ge 3 ] && [ -n "${LLAMA_CPP:-}" ] || { echo "usage: LLAMA_CPP=FOLDER bench/quality.sh MODEL CALIBRATION.txt TEXT.txt..." >&2; exit 2; }
model=$1 calibration=$2 threads=${THREADS:-2} context=${CONTEXT:-256} chunks=${CHUNKS:-150} windows=${WINDOWS:-400}
shift 2
program=${BUILD:-$(dirname "$0")/../build}/sparsam
types=${TYPES:-Q8_0 Q6_K Q5_K_M Q5_K_S Q4_1 Q4_K_M Q4_K_S Q4_0 IQ4_NL IQ4_XS Q3_K_L Q3_K_M IQ3_M Q3_K_S IQ3_S IQ3_XS Q2_K IQ3_XXS Q2_K_S IQ2_M IQ2_S IQ2_XS}
work=${WORK:-$(mktemp -d)}
[ -n "${WORK:-}" ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work"
perplexity() { "$LLAMA_CPP/llama-perplexity" -c "$context" --chunks "$chunks" -t "$threads" "$@" 2>&1; }

judge() # name file
{
    local line text
    line="$1 $(stat -c %s "$2")"
    for text in "${texts[@]}"; do
        line="$line  $(basename "$text") $(perplexity -m "$2" --kl-divergence --kl-divergence-base "$work/$(basename "$text").kld" |
            awk '/Mean +KLD/ { kl = $3 " +- " $5 } /Mean PPL\(Q\)/ && !p { p = $4 } END { print kl, p }')"
    done
    echo "$line"
}

texts=("$@")
base=$work/f16.gguf
[ -f "$base" ] || "$program" quantize "$model" --to f16 -o "$base" --no-ledger -q >/dev/null
[ -f "$work/imatrix.gguf" ] || "$LLAMA_CPP/llama-imatrix" -m "$base" -f "$calibration" -o "$work/imatrix.gguf" -c "$context" --chunks "$windows" -t "$threads" >/dev/null 2>&1
for text in "${texts[@]}"; do
    kld=$work/$(basename "$text").kld
    [ -f "$kld" ] || perplexity -m "$base" -f "$text" --kl-divergence-base "$kld" >/dev/null
done

sizes=
for type in $types; do
    file=$work/$type.gguf
    [ -f "$file" ] || "$LLAMA_CPP/llama-quantize" --imatrix "$work/imatrix.gguf" "$base" "$file" "$type" "$threads" >/dev/null 2>&1 || { echo "$type: llama-quantize failed"; continue; }
    judge "$type" "$file"
    sizes="$sizes $(stat -c %s "$file")"
done
for size in ${SIZES:-$sizes}; do
    file=$work/sparsam_$size.gguf
    [ -f "$file" ] || "$program" quantize "$model" --size "$size" --calibrate "$calibration" --windows "$windows" --no-judge -o "$file" --threads "$threads" --no-ledger -q >/dev/null
    judge "sparsam--size=$size" "$file"
done
