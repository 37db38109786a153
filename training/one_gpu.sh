#!/usr/bin/env bash
# wilds-nano from nothing on a machine with one CUDA GPU, for who has it for minutes only: wide batches,
# CUDA graphs, and side by side what need not wait for each other. Where a graph cannot be, the same without.
#
#   training/one_gpu.sh RUNS walks            # walks and words
#   training/one_gpu.sh RUNS world            # everything after that; the walks may still be going
#   training/one_gpu.sh RUNS bring RESULTS    # what `export` wants, in pieces of 15 MiB, and the records
#   training/one_gpu.sh RUNS all RESULTS      # the three, one after the other
#   MINUTES=12 training/one_gpu.sh RUNS world # `sharpen` ends 12 minutes after the first part began
#   TINY=1 training/one_gpu.sh RUNS all RESULTS   # all of it for a minute, on a CPU (or DEVICE=cuda)
#
# Any of them goes on where it was stopped. Needs PyTorch, NumPy, einops, safetensors and OmegaConf,
# nothing else; no network. `export` is for a machine with the rest: unpack the pieces there
# (cat RESULTS/finals.tar.* | tar x -C RUNS; tar xzf RESULTS/records.tgz -C RUNS) and run
# `helios train wilds-nano --only export root=RUNS/wilds-nano`.
set -uo pipefail
[ $# -ge 2 ] || { sed -n '2,15s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1" || exit 2
runs=$(cd "$1" && pwd) part=$2 results=${3:-}
cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-python3} device=${DEVICE:-cuda} workers=16 log="$runs/log"
mkdir -p "$log"
# Kernels of our own are for large widths; at these the plain ones launch as fast and need no compiler.
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 HELIOS_KERNELS=reference
# Four times as many windows in a step, eight in the last one, and this many in all. On processors the
# walks of four minutes take longest, whatever else goes on: few of them in each piece.
settings=(
  shared.wide=4
  'frames.settings.parts=[{clips: 112, frames: 1200}, {clips: 2, frames: 4800}, {clips: 2, frames: 4800}, {clips: 2, frames: 4800}, {clips: 2, frames: 4800}, {clips: 80, frames: 1200, lively: true}]'
  codec.loop.samples=80000 decoder.loop.samples=240000 forecast.loop.samples=240000
  near.loop.samples=160000 sharpen-near.loop.samples=128000
  "sharpen.loop.samples=$([ -n "${MINUTES:-}" ] && echo 6000000 || echo 600000)"
  near.settings.misspelled=0.0  # each would be new, and read while the GPU waits
)
if [ -n "${TINY:-}" ]; then
  device=${DEVICE:-cpu} workers=1
  settings=(
    'frames.settings.parts=[{clips: 2, frames: 160}]' 'held-frames.settings.parts=[{clips: 2, frames: 120}]'
    codec.loop.samples=16 decoder.loop.samples=16 words.loop.samples=256 forecast.loop.samples=64
    near.loop.samples=32 sharpen-near.loop.samples=64 reader.loop.samples=128 sharpen.loop.samples=64
  )
fi
# Small windows keep a GPU waiting for launches: no roundings to bf16, and graphs where there are. A
# picture of two hundred walks then takes little longer than one of ten: twice as many are made.
quick=() wide=(shared.wide=8)
large=(
  frames.settings.shard=224 frames.settings.workers=4
  'frames.settings.parts=[{clips: 224, frames: 1200}, {clips: 32, frames: 2400}, {clips: 160, frames: 1200, lively: true}, {clips: 2, frames: 400}]'
)
[ "$device" != cuda ] || quick=(precision=tf32)
[ -z "${TINY:-}" ] || { wide=() large=(); }

step() {  # step DEVICE NAMES OVERRIDES...: run steps of the recipe, their output kept
  local on=$1 names=$2 began=$SECONDS; shift 2
  "$python" -m training wilds-nano "root=$runs/wilds-nano" "device=$on" --only "$names" --resume \
    "${settings[@]}" "$@" >> "$log/$names.log" 2>&1
  local code=$?
  echo "$names: exit $code after $((SECONDS - began)) s"
  [ "$code" -eq 0 ] || tail -n 3 "$log/$names.log"
  return "$code"
}

await() {  # await STEP: until `walks` has made it, here or beside
  until [ -f "$runs/wilds-nano/$1/done.json" ]; do
    [ ! -e "$log/walks.failed" ] || { echo "$1 is not made: run walks again" >&2; return 1; }
    sleep 1
  done
}

both() {  # both PID PID: wait for two, and fail if either did
  local code=0
  wait "$1" || code=1
  wait "$2" || code=1
  return "$code"
}

ends() {  # ends NAME: how long `sharpen` may take, with what it has taken before it was stopped
  [ "$1" = sharpen ] && [ -n "${MINUTES:-}" ] || return 0
  local passed=$(($(date +%s) - $(cat "$log/began"))) before=0 state
  for state in "$runs"/wilds-nano/sharpen/checkpoints/*/state.json; do
    [ -f "$state" ] && before=$(sed -n 's/^ *"seconds": *\([0-9.]*\).*/\1/p' "$state")
  done
  echo "sharpen.loop.land=true sharpen.loop.budget_minutes=$(
    awk "BEGIN {m = $MINUTES - ($passed - $before) / 60; print (m > 0.01 ? m : 0.01)}")"
}

made() {  # made NAME: whether it is done, however
  [ -f "$runs/wilds-nano/$1/done.json" ]
}

captured() {  # captured NAME OVERRIDES...: a step that can be CUDA graphs, without where that fails
  local name=$1 code; shift
  made "$name" && return
  if [ "$device" = cuda ]; then
    step "$device" "$name" "${quick[@]}" "$name.settings.graphs=true" "$@" $(ends "$name") && return
    code=$?; [ "$code" -lt 128 ] || return "$code"  # told to stop
    echo "$name: once more, without graphs"
  fi
  step "$device" "$name" "${quick[@]}" "$@" $(ends "$name")
}

rendered() {  # rendered NAME WORKERS OVERRIDES...: as graphs, or by so many processors
  local name=$1 workers=$2 code; shift 2
  made "$name" && return
  if [ "$device" = cuda ] && [ ! -e "$log/$name.plain" ]; then
    step "$device" "$name" "$name.settings.graphs=true" "$@" && return
    code=$?; [ "$code" -lt 128 ] || return "$code"
    echo "$name: once more, on the processors"
    touch "$log/$name.plain"
    rm -rf "$runs/wilds-nano/$name"  # what is begun has other worlds
  fi
  step cpu "$name" "$name.settings.workers=$workers"
}

walks() {  # and the words, which need none
  rm -f "$log/walks.failed"
  rendered frames "$workers" "${large[@]}" & local most=$!
  rendered held-frames 1 & local held=$!
  step "$device" words "${quick[@]}" & local words=$!
  both "$most" "$held" && wait "$words" || { touch "$log/walks.failed"; return 1; }
}

world() {
  await frames && await held-frames || return 1
  step "$device" codec || return 1
  step "$device" decoder & local decoder=$!
  step "$device" latents,held-latents && await words &&
    step "$device" forecast "${quick[@]}" || return 1
  step "$device" reader "${quick[@]}" & local reader=$!
  captured near && captured sharpen-near && wait "$reader" || return 1
  captured sharpen "${wide[@]}" & local sharpen=$!
  both "$decoder" "$sharpen"
}

bring() {
  [ -n "$results" ] || { echo "bring: name a folder for the results" >&2; return 2; }
  mkdir -p "$results" || return 2
  (cd "$runs" && find log wilds-nano -path '*/checkpoints' -prune -o -type f \
    \( -name '*.json' -o -name '*.jsonl' -o -name '*.log' -o -name '*.png' \) -print0 |
    tar czf - --null -T -) > "$results/records.tgz"
  # `export` asks some shard of latents which actions there are; the smallest will do, and there is one
  # of two clips
  local shard
  shard=$(cd "$runs" && ls -S wilds-nano/latents/*.safetensors | tail -n 1)
  tar cf - -C "$runs" wilds-nano/decoder/final wilds-nano/sharpen/final "$shard" |
    split -b 15M - "$results/finals.tar."
}

[ -e "$log/began" ] || date +%s > "$log/began"
case $part in
  walks | world | bring) "$part" ;;
  all) walks && world && bring ;;
  *) echo "one_gpu: no part $part; give walks, world, bring or all" >&2; exit 2 ;;
esac
