#!/bin/sh
# bench/serve.sh - GGUF files answering, beside llama-bench in turns: tokens a second of a prompt of 512 and of 128
# generated, time to the first token of that prompt from a cold start, peak memory.
# usage: bench/serve.sh FILE.gguf...   (LLAMA_BENCH: its path, else it is left out; THREADS 2, ROUNDS 3, PROMPT 512, GENERATE 128)
# SPDX-License-Identifier: Apache-2.0
set -eu
[ $# -gt 0 ] || { echo "usage: bench/serve.sh FILE.gguf..." >&2; exit 2; }
threads=${THREADS:-2} rounds=${ROUNDS:-3} prompt=${PROMPT:-512} generate=${GENERATE:-128}
ours=${BENCH_SERVE:-build/bench/bench_serve} sparsam=${SPARSAM:-build/sparsam}

# seconds and peak bytes of a command whose own output is left out
measured()
{
    "$sparsam" measure --json --no-ledger -- "$@" 2>/dev/null | tr -d ' \n' | awk '{
        s = substr($0, index($0, "\"time_s\":")); s = substr(s, index(s, "\"likely\":") + 9)
        m = substr($0, index($0, "\"peak\":")); m = substr(m, index(m, "\"likely\":") + 9)
        printf "  llama-bench: %.3f s from start to the first token of prompt, peak memory %.1f MB\n", s + 0, (m + 0) / 1e6 }'
}

for file; do
    cat "$file" > /dev/null # into the page cache, for both
    "$ours" "$file" "$prompt" "$generate" "$threads" "$rounds"
    if [ -n "${LLAMA_BENCH:-}" ]; then
        "$LLAMA_BENCH" -m "$file" -p "$prompt" -n "$generate" -t "$threads" -r "$rounds" 2>/dev/null
        measured "$LLAMA_BENCH" -m "$file" -p "$prompt" -n 0 -t "$threads" -r 1 --no-warmup
    fi
done
