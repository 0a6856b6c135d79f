#!/bin/sh
# tests/verbs.sh - what every verb owes: help, exit statuses, sentences, JSON errors.
# SPDX-License-Identifier: Apache-2.0
set -u
cd "$(dirname "$0")/.."
program=${PROGRAM:-$PWD/${BUILD:-build}/sparsam} # PROGRAM: an emulator starts it
passed=0 failed=0
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
export SPARSAM_LEDGER="$temp/ledger.db" XDG_DATA_HOME="$temp" # neither ledger nor facts of whoever runs this

ok() { # what, status of a check
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $1"; cat "$temp/out" "$temp/err"; fi
}
# Runs the program; its status must be $1.
gives() {
    want=$1
    shift
    "$program" "$@" >"$temp/out" 2>"$temp/err"
    status=$?
    [ "$status" = "$want" ]
    ok "sparsam $*: exit status $status, wanted $want" $?
}
says() { grep -q -- "$2" "$temp/$1"; ok "\"$2\" in $1" $?; }
# One JSON object and nothing else; tools that can tell: jq, else the C test program does it.
parses() {
    if command -v jq >/dev/null 2>&1; then
        jq -e 'type == "object"' "$temp/out" >/dev/null 2>&1
        ok "standard output is one JSON object" $?
    fi
}

gives 0; says out "usage: sparsam VERB"
gives 0 --help; says out "sparsam VERB --help"
gives 0 --version; says out "^sparsam [0-9]"
# start-up: neither oneDNN nor libxml2 is loaded before it is needed
if [ -z "${PROGRAM:-}" ]; then
    ldd "$program" >"$temp/out" 2>"$temp/err"
    grep -q jansson "$temp/out" && ! grep -q -e dnnl -e libxml2 "$temp/out"; ok "heavy libraries are not loaded at start-up" $?
fi
gives 2 no-such-verb; says err "no-such-verb"
gives 2 techniqes; says err 'did you mean "sparsam techniques"'
gives 2 techniqes --json; says err "no verb"; says out '"code": "USAGE"'; says out '"schema": "sparsam.error/1"'; parses
gives 2 --ledgr; says err "ledgr"
gives 0 --man; says out "^.TH SPARSAM 1"
cp "$temp/out" "$temp/man"

# Every verb by its descriptor; $verb may be two words.
names=$(sed -n 's/^    \.name = "\([a-z ]*\)",$/\1/p' src/cli/verb_*.c)
rows=$(grep -c '^    &sp_verb_' src/cli/verbs.c)
[ "$(echo "$names" | wc -l)" = "$rows" ]; ok "there are as many descriptors as rows in the table of verbs ($rows)" $?
newline='
'
IFS=$newline
for verb in $names; do
    unset IFS
    gives 0 $verb --help
    says out "usage: sparsam $verb"; says out "--json"; says out "--quiet"; says out "  sparsam $verb"
    grep -q "sparsam $verb" "$temp/man"; ok "$verb is in the manual" $?
    # every option of the help stands in the manual
    for option in $(grep -o '^ *\(-[a-zA-Z], \)\{0,1\}--[a-z0-9-]*' "$temp/out" | grep -o -- '--[a-z0-9-]*' | sort -u); do
        plain=$(echo "$option" | sed 's/-/\\\\\\{0,1\\}-/g')
        grep -q -e "$plain" "$temp/man"; ok "$verb: $option is in the manual" $?
    done
    # the verb that passes a command's status on keeps its own failures apart from it
    if [ "$verb" = measure ]; then wrong=125; else wrong=2; fi
    # a recipe printed, read and printed again is the same
    if grep -q -e --print-recipe "$temp/out"; then
        gives 0 $verb --print-recipe
        cp "$temp/out" "$temp/recipe.yaml"
        gives 0 $verb --recipe "$temp/recipe.yaml" --print-recipe
        cmp -s "$temp/out" "$temp/recipe.yaml"; ok "$verb: the printed recipe reads back" $?
        echo "train: {no_such_setting: 1}" >"$temp/bad.yaml"
        gives 2 $verb --recipe "$temp/bad.yaml"; says err "train.no_such_setting"; says err "bad.yaml"
        gives 1 $verb --recipe "$temp/nowhere.yaml"; says err "nowhere.yaml"
    fi
    gives "$wrong" $verb --no-such-option; says err "no-such-option"
    gives "$wrong" $verb --no-such-option --json; says out '"code": "USAGE"'; says out '"remedy"'; parses
    gives "$wrong" $verb --threads many; says err "threads"; says err "many"
    gives "$wrong" $verb --threads 100000; says err "threads"; says err "100000"; says err "256"
    gives "$wrong" $verb --quite; says err "quiet"
done
unset IFS
gives 2 train --predict; says err "vocabulary"; says err "--model-vocab N"
gives 2 techniques surplus; says err "surplus"
gives 0 techniques --json; says out '"schema": "sparsam.techniques/1"'; parses
printf 'model,task,method,precision,optimizer,batch,seq,hardware,devices,peak_gb,fits,source\nx,finetune,lora,bf16,adamw,1,512,A100-40GB,1,20,estimate,a/b\n' >"$temp/table.csv"
gives 0 plan check memory "$temp/table.csv"; says out "Left out by rule"
gives 0 plan check memory "$temp/table.csv" --json; says out '"schema": "sparsam.plan-check/1"'; parses
gives 2 plan check weather "$temp/table.csv"; says err "weather"; says err "memory"
gives 1 plan check memory "$temp/nowhere.csv"; says err "nowhere.csv"
gives 2 eval nowhere --save-logits "$temp/x.kld"; says err "no text is named"
printf _logits_ >"$temp/bad.kld"; gives 1 eval nowhere --against "$temp/bad.kld"; says err "bad.kld"; says err "20 bytes"
gives 1 eval nowhere --text "$temp/table.csv"; says err "nowhere"
gives 2 quantize nowhere -o "$temp/x.gguf"; says err "--bits 4.5"
gives 2 quantize nowhere --to q4_k_m; says err "-o NAME.gguf"
gives 2 quantize nowhere --to q4_k_m --bits 4.5 -o "$temp/x.gguf"; says err "give one of them"
gives 2 quantize nowhere --size 1MB --bits 4.5 -o "$temp/x.gguf"; says err "two budgets"
gives 2 quantize nowhere --bits 4.5 -o "$temp/x.gguf"; says err "--calibrate FILE"
gives 2 quantize nowhere --bits 4.5 --calibrate a.txt -o "$temp/folder"; says err "NAME.gguf"
gives 2 quantize nowhere --bits 4.5 --calibrate a.txt --pure -o "$temp/x.gguf"; says err "--pure"
gives 2 quantize nowhere --to q4_k_m --method importance -o "$temp/x.gguf"; says err "--calibrate FILE"
gives 2 quantize nowhere --to q4_k_m --method compensate -o "$temp/x.gguf"; says err "--calibrate FILE"
gives 2 quantize nowhere --to bf16 --method compensate --calibrate x -o "$temp/x"; says err "GGUF"
gives 2 quantize nowhere --to q4_k_m --calibrate a.txt --imatrix b.gguf -o "$temp/x.gguf"; says err "give one"
gives 2 quantize nowhere --to q4_k_m --save-imatrix b.gguf -o "$temp/x.gguf"; says err "--calibrate FILE"
gives 2 quantize nowhere --to q4_k_m --imatrix b.gguf --method compensate -o "$temp/x.gguf"; says err "--calibrate FILE"
gives 2 quantize nowhere --to q4_k_m --fit 8 -o "$temp/x.gguf"; says err "--calibrate FILE"
gives 2 quantize nowhere --to bf16 --calibrate x --fit 8 -o "$temp/x"; says err "GGUF"
gives 1 quantize nowhere --to q4_k_m -o "$temp/x.gguf"; says err "nowhere"
awk 'BEGIN { srand(5); for (i = 0; i < 400; i++) { s = ""; for (k = 0; k < 12; k++) s = s sprintf("%c%c ", 97 + int(rand() * 9), 97 + i % 7); print s } }' >"$temp/words.txt"
gives 0 train --data "$temp/words.txt" --tokenizer bpe --vocab 300 --layers 1 --width 64 --heads 2 --context 32 --batch 2 --steps 2 --threads 1 --quiet --out "$temp/tiny"
gives 2 quantize "$temp/tiny" --to q9_k -o "$temp/x.gguf"; says err "q9_k"; says err "q8_0"
gives 2 quantize "$temp/tiny" --size 12parsec --calibrate "$temp/words.txt" -o "$temp/x.gguf"; says err "12parsec"; says err "300MB"
gives 1 quantize "$temp/tiny" --bits 1 --calibrate "$temp/words.txt" -o "$temp/x.gguf"; says err "smallest formats"
gives 1 quantize "$temp/tiny" --to q8_0 --calibrate "$temp/nowhere.txt" -o "$temp/x.gguf"; says err "nowhere.txt"
gives 0 quantize "$temp/tiny" --to q8_0 --quiet -o "$temp/q8.gguf"; says out "times smaller"; says out "--text FILE"
gives 0 plan quantize "$temp/tiny" --to q8_0 --json; parses; says out "\"bytes\": $(wc -c <"$temp/q8.gguf").0,"
gives 0 plan quantize llama-2-7b --on rtx-4090 --explain; says out "4.1 GB"; says out "It fits\|it fits"; says out "How q4_k_m is reckoned"
gives 2 plan quantize "$temp/tiny" --to q9; says err "q9"; says err "q4_k_m"
gives 1 plan quantize no-such-model; says err "no-such-model"
gives 0 quantize "$temp/tiny" --size 40% --calibrate "$temp/words.txt" --windows 8 --quiet --explain -o "$temp/b.gguf"; says out "KL divergence"; says out "share of the divergence"
gives 0 report --last 1; says out "quantize .*x smaller, KL "
n=$(awk '$3 == "quantize" { print $1 }' "$temp/out")
gives 0 report --run "$n"; says out "Its model was made by run [0-9]"; says out "What it saved"; says out "answer, tokens a second"; says out "KL divergence"
gives 0 quantize "$temp/tiny" --to q8_0 --calibrate "$temp/words.txt" --windows 8 --save-imatrix "$temp/i.gguf" --method importance --no-judge --quiet -o "$temp/b.gguf"
gives 0 quantize "$temp/tiny" --to q8_0 --imatrix "$temp/i.gguf" --no-judge --quiet -o "$temp/c.gguf"; cmp -s "$temp/b.gguf" "$temp/c.gguf"; ok "importance from a file gives the bytes that its text gave" $?
gives 1 quantize "$temp/tiny" --to q8_0 --imatrix "$temp/words.txt" --no-judge -o "$temp/x.gguf"; says err "words.txt"; says err "llama-imatrix"
gives 2 run "$temp/tiny" --chat hello; says err "no chat template"
gives 2 run "$temp/tiny" --system short hello; says err "--chat"
gives 2 run "$temp/tiny" --chat --prompt-ids 1; says err "--prompt-ids"
printf '%s' '{% if messages[0].role != "user" %}{{ raise_exception("nobody may say how") }}{% endif %}{{ messages[0].content }}' >"$temp/tiny/chat_template.jinja"
gives 0 run "$temp/tiny" --chat --greedy --max-tokens 2 --json hello; says out '"schema": "sparsam.run/1"'; parses
gives 2 run "$temp/tiny" --chat --system short hello; says err "nobody may say how"
# prompts from elsewhere are the prompt
gives 0 run "$temp/tiny" --greedy -n 4 --json "a b c"; cp "$temp/out" "$temp/words.out"
same() { sed 's/_per_s.*//; s/first_token_s.*//' "$temp/out" | cmp -s - "$temp/text.out"; ok "$1 gives the same answer" $?; }
sed 's/_per_s.*//; s/first_token_s.*//' "$temp/words.out" >"$temp/text.out"
printf 'a b c\n' >"$temp/prompt.txt"
gives 0 run "$temp/tiny" --greedy -n 4 --json --prompt "a b c"; same --prompt
gives 0 run "$temp/tiny" --greedy -n 4 --json --prompt-file "$temp/prompt.txt"; same --prompt-file
gives 0 run "$temp/tiny" --greedy -n 4 --json <"$temp/prompt.txt"; same "standard input"
gives 0 run "$temp/tiny" --greedy -n 4 --json --prompt - <"$temp/prompt.txt"; same "--prompt -"
gives 2 run "$temp/tiny" --prompt a b; says err "one of them"
gives 1 run "$temp/tiny" --prompt-file "$temp/nowhere.txt"; says err "nowhere.txt"
# a conversation: turn by turn, what is cached stays, a full context forgets and says so
printf '%s' '{% for m in messages %}<{{ m.role }}>{{ m.content }}|{% endfor %}' >"$temp/tiny/chat_template.jinja"
printf 'a b\n/save %s\n\nc d\n//e\n/stats\n' "$temp/said.json" >"$temp/lines.txt"
gives 0 run "$temp/tiny" -i --greedy -n 3 --cache 30 --stats <"$temp/lines.txt"; says err "were cached"; says err "is forgotten\|are forgotten"; says err "3 answers"
grep -q '"content": "a b"' "$temp/said.json"; ok "/save writes what was said" $?
gives 0 run "$temp/tiny" -i --greedy -n 3 --system short --json <"$temp/lines.txt"; says out '"schema": "sparsam.chat/1"'; says out '"answers": 3'; says out '"content": "short"'; says out '"content": "/e"'; parses
grep -q '"cached_tokens": 0' "$temp/out"; [ $? = 1 ]; ok "a later turn finds the earlier ones in the cache" $?
printf '/load %s\n/clear\n/exit\nnever\n' "$temp/said.json" >"$temp/lines.txt"
gives 0 run "$temp/tiny" -i --json <"$temp/lines.txt"; says out '"answers": 0'; says out '"content": "short"'
grep -q '"content": "a b"' "$temp/out"; [ $? = 1 ]; ok "/clear forgets what was said, not how the model is to behave" $?
echo /nope | gives 2 run "$temp/tiny" -i; says err "/nope is no command"
awk 'BEGIN { for (i = 0; i < 99; i++) printf "word%d ", i }' | gives 1 run "$temp/tiny" -i; says err "the context holds 32"
rm "$temp/tiny/chat_template.jinja"
printf 'a b\n\nc\n' >"$temp/lines.txt"
gives 0 run "$temp/tiny" -i --greedy -n 3 --cache 12 <"$temp/lines.txt"; says err "no chat template"; says err "tokens are forgotten"; says err "3 answers"
gives 2 run "$temp/tiny" -i --system short </dev/null; says err "no chat template"
# Ctrl-C stops an answer and not the conversation; one between answers ends it; it is booked as finished
mkfifo "$temp/fifo"
"$program" run "$temp/tiny" -i --ignore-end --cache 4000 -n 3900 --threads 1 <"$temp/fifo" >"$temp/out" 2>"$temp/err" & pid=$!
exec 9>"$temp/fifo"
echo "a b" >&9
i=0; while [ ! -s "$temp/out" ] && [ $i -lt 200 ]; do sleep 0.05; i=$((i + 1)); done
kill -INT $pid; echo /stats >&9
i=0; while ! grep -q "are taken" "$temp/err" && [ $i -lt 200 ]; do sleep 0.05; i=$((i + 1)); done
says err "(stopped)"; says err "are taken"
kill -INT $pid; wait $pid; status=$?
exec 9>&-
[ $status = 0 ]; ok "a signal between answers ends the conversation with status 0, not $status" $?
gives 0 report; grep "Z  run  " "$temp/out" | head -n 1 | grep -q finished; ok "the conversation is booked as finished" $?
gives 0 quantize "$temp/tiny" --bits 20 --calibrate "$temp/words.txt" --windows 8 --json -o "$temp/b.gguf"; says out '"schema": "sparsam.quantize/1"'; says out '"kl_divergence_predicted"'; parses
gives 0 quantize "$temp/tiny" --to q4_0 --calibrate "$temp/words.txt" --windows 16 --fit 3 --json --no-judge -o "$temp/b.gguf"; says out '"kl_divergence_after"'; parses
gives 0 quantize "$temp/tiny" --to q4_0 --calibrate "$temp/words.txt" --windows 16 --fit 3 --no-judge --quiet -o "$temp/b.gguf"; says out "Fitted in 3 steps"
head -c 3000 "$temp/q8.gguf" >"$temp/cut.gguf"
gives 1 quantize "$temp/cut.gguf" --to q4_0 -o "$temp/x.gguf"; says err "cut.gguf"
gives 0 plan article; says out "178 times"; says out "2,410,103"; says out "kW where kWh is meant"
gives 0 plan article --json; says out '"schema": "sparsam.plan-article/1"'; parses
gives 2 plan article --gpu-hour -1; says err "gpu-hour"
gives 0 plan cap --watts 280 --largest 300 --hours 100 --zone DE; says out "A cap of 240 W"; says out "CO2e"
gives 0 plan cap --watts 280 --largest 300 --json; says out '"schema": "sparsam.plan-cap/1"'; parses
gives 2 plan cap; says err "watts"
printf 'w,power_limit,time_per_epoch,average_power\na,100,1.3,95\na,150,1.03,140\na,200,1,180\n' >"$temp/traces.csv"
cp "$temp/traces.csv" "$temp/more.csv"
gives 0 plan cap "$temp/traces.csv" "$temp/more.csv" --rows; says out "answer known"; says out "cap  150 W"
gives 0 plan cap "$temp/traces.csv" "$temp/more.csv" --json; says out '"schema": "sparsam.plan-cap/1"'; parses
gives 0 plan cap "$temp/traces.csv" --own "$temp/more.csv" --rule time; says out "at  150 W"
gives 2 plan cap "$temp/traces.csv"; says err "two or more GPUs"
gives 2 plan when --zone GB; says err "no hour is better"
awk 'BEGIN { print "Time,Carbon Intensity"; for (i = 0; i < 1440; i++) printf "2020-%02d-%02d %02d:00,%d\n", 1 + i / 672, 1 + i / 24 % 28, i % 24, i % 24 < 5 ? 50 : 100 }' >"$temp/hours.csv"
gives 0 plan when "$temp/hours.csv" --watts 500; says out "knowing the future"; says out "yesterday"
gives 0 plan when "$temp/hours.csv" --evaluate --interruptible --json; says out '"schema": "sparsam.plan-when/1"'; parses
gives 2 plan when "$temp/hours.csv" --at "2021-01-01 00:00"; says err "outside the file"
gives 1 plan when "$temp/nowhere.csv"; says err "nowhere.csv"
gives 0 plan optimal --flops 1e21; says out "tokens a parameter"; says out "hoffmann-rounded"
gives 0 plan optimal --flops 1e15; says out "WARNING: .*extrapolation"
gives 0 plan optimal --parameters 7G --tokens 2T --served 2T --unique 1T --explain; says out "over-trained"; says out "C = 6 N D"
gives 0 plan optimal --loss 2.2 --unique 5G --json; says out '"schema": "sparsam.plan-optimal/1"'; parses
gives 0 plan optimal --days 7 --on "a100*8" --mfu 0.4; says out "days is the tightest"; says out "1344 device hours"
gives 0 plan optimal --energy 5000 --on "a100*8"; says out "energy is the tightest"; says out "published runs"
gives 0 plan optimal --loss 2.4 --unique 10G; says out "the same loss takes"
gives 2 plan optimal --days 7 --on "epyc 7763"; says err "is a processor"; says err "--mfu"
gives 2 plan optimal --days 7 --on "a1000000" --mfu 0.4; says err "a1000000"
gives 2 plan optimal; says err "no budget"; says err "--flops"
gives 2 plan optimal --flops -3; says err "flops"
gives 2 plan optimal --loss 1; says err "1.817"
gives 1 plan optimal --flops 1e21 --law nobody; says err "nobody"; says err "epoch"
awk 'BEGIN { print "params,tokens,loss"; for (i = 0; i < 5; i++) for (j = 0; j < 5; j++) { n = 1e6 * 3 ^ i; d = n * 3 * 3 ^ j
    print n "," d "," 1.8 + 400 / n ^ 0.34 + 2000 / d ^ 0.37 } }' >"$temp/runs.csv"
gives 0 plan fit "$temp/runs.csv" --bootstrap 50 --out "$temp/law.json" --name mine; says out "25 of 25 rows"; says out "law.json"
gives 0 plan optimal --law "$temp/law.json" --flops 1e16; says out "mine"
gives 0 plan fit "$temp/runs.csv" --bootstrap 50 --json; says out '"schema": "sparsam.plan-fit/1"'; parses
echo "model: {layers: 6, width: 384, heads: 6}" >"$temp/small.yaml"
gives 0 plan optimal --flops 1e16 --rewrite "$temp/small.yaml" --out "$temp/best.yaml"; says out "layers of width"
gives 0 train --recipe "$temp/best.yaml" --predict --model-vocab 2048
gives 2 plan optimal --flops 1e16 --rewrite "$temp/small.yaml"; says err "--out"
gives 1 plan fit "$temp/table.csv"; says err "parameters"

export SPARSAM_CATALOG="$temp/facts"
printf 'instance,provider,accelerator,devices,on_demand,currency,date\nbox,home,NVIDIA L4 24GB,2,0.3,EUR,2020-01\n' >"$temp/box.csv"
gives 2 catalog add prices "$temp/box.csv"; says err "prices"; says err "instances"
gives 1 catalog add grid "$temp/box.csv"; says err "g_per_kwh\\|code"
gives 0 catalog add instances "$temp/box.csv"; says out "1 row of"
gives 0 catalog list; says out "1 your own"
gives 0 catalog list instances home; says out "your own"; says out "stale"
gives 0 catalog list accelerators --json; says out '"schema": "sparsam.catalog-list/1"'; parses
gives 2 catalog list weather; says err "weather"
gives 0 catalog show box; says out "0.3"
gives 0 catalog show a100-40gb --json; says out '"schema": "sparsam.catalog-show/1"'; parses
gives 0 catalog show instances; says out "on_demand"
gives 0 catalog show llama2-7b; says out "llama-2-7b"
gives 2 catalog show a1000; says err "nearest"
gives 0 plan where --on box --hours 10 --explain; says out "stale"; says out "10 of home\\|device-hours x 0.15"
gives 0 plan where --on a100-80gb*8 --hours 100 --json; says out '"schema": "sparsam.plan-where/1"'; parses
gives 2 plan where --on a1000; says err "nearest"
gives 2 plan where --on a100 --provider nimbus; says err "nimbus"
gives 2 plan where --on a100 --own-price -5; says err "own-price"
gives 2 plan where --on a100 --rate USD; says err "rate"
unset SPARSAM_CATALOG

if command -v groff >/dev/null 2>&1; then
    groff -man -Tascii -ww "$temp/man" >"$temp/out" 2>"$temp/err"
    [ ! -s "$temp/err" ]; ok "groff takes the manual without a warning" $?
fi

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
