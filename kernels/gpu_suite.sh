#!/usr/bin/env bash
# GPU tests and benchmarks in one go, for BENCHMARKS.md: what matters most first, within a budget.
#
#   kernels/gpu_suite.sh RESULTS                # on a CUDA machine, from a checkout
#   BUDGET=280 kernels/gpu_suite.sh RESULTS     # the same in 280 seconds (520 without)
#   PARTS='dit sanitizer' kernels/gpu_suite.sh RESULTS    # these alone
#   kernels/gpu_suite.sh RESULTS --tiny         # the same on a CPU with tiny sizes: a dry run
#
# Needs PyTorch 2.9 or newer, Triton and Python 3.11 or newer, nothing else; no network. pytest runs
# the tests where it is installed, on several cores with pytest-xdist. The comparison needs diffusers
# and what it imports: installed, or beside the checkout in a folder named by DIFFUSERS (or
# ./wheels/diffusers), which this fills:
#   pip install --target wheels/diffusers 'diffusers>=0.42,<0.43' 'transformers>=5'
# compute-sanitizer, where CUDA's tools are installed, watches the kernels' memory accesses.
# Writes NAME.log and NAME.json per part as they come, and summary.md after each: what was measured
# outlives a kill. Exit code 1 if a part failed.
set -uo pipefail
[ $# -ge 1 ] || { echo "usage: kernels/gpu_suite.sh RESULTS [--tiny]" >&2; exit 2; }
mkdir -p "$1" || exit 2
results=$(cd "$1" && pwd)
size=14b device=cuda budget=${BUDGET:-520} patience=1
# A dry run shows that everything works, on whatever a shared processor has left: it may take longer.
if [ "${2:-}" = --tiny ]; then size=tiny device=cpu budget=${BUDGET:-3600} patience=6
elif [ -n "${2:-}" ]; then
  echo "gpu_suite: unknown option $2; only --tiny" >&2; exit 2; fi
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
extra=${DIFFUSERS:-$PWD/wheels/diffusers}
export PYTHONPATH="$PWD:$extra${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
began=$SECONDS failed=0

part() {  # part NAME SECONDS COMMAND...: run within its time and the budget, keep its log
  local name=$1 limit=$(($2 * patience)) left=$((budget - (SECONDS - began))); shift 2
  [[ -z ${PARTS:-} || " $PARTS " == *" $name "* ]] || return 0
  rm -f "$results/$name.json"
  [ "$left" -gt 10 ] || { echo "$name: no time left" | tee "$results/$name.log"; failed=1; return; }
  [ "$limit" -lt "$left" ] || limit=$left
  local start=$SECONDS
  timeout -k 5 "$limit" "$@" > "$results/$name.log" 2>&1
  local code=$?
  echo "exit $code after $((SECONDS - start)) s" >> "$results/$name.log"
  echo "$name: exit $code after $((SECONDS - start)) s"
  [ "$code" -eq 0 ] || { failed=1; tail -n 6 "$results/$name.log" | cut -c -300; }
  "$python" kernels/suite_summary.py "$results" > "$results/summary.md"
}

bench() {  # bench NAME SECONDS OPTIONS...
  local name=$1 limit=$2; shift 2
  part "$name" "$limit" "$python" -c 'import sys; from engine.cli import main; sys.exit(main())' \
    bench "$@" --size "$size" --device "$device" --report "$results/$name.json"
}

# What is here, looked up while the tests run. diffusers gives out an empty stand-in of that class
# where transformers is missing.
looked=$(mktemp)
trap 'rm -f "$looked"' EXIT
"$python" - > "$looked" 2>&1 <<'END' &
import torch
print("devices", torch.cuda.device_count())
try:
    import diffusers.pipelines.helios.pipeline_helios_pyramid
    print("diffusers")
except Exception as error:
    print("missing:", error)
END
looking=$!

tests=0 many=()
if "$python" -c 'import pytest' 2>/dev/null; then
  tests=1
  if "$python" -c 'import xdist' 2>/dev/null; then
    cores=$(nproc)
    many=(-n $((cores < 4 ? 2 : cores > 16 ? 8 : cores / 2)))  # compiling is most of the time
  fi
  watched=(-m pytest -p no:cacheprovider -p no:timeout -W ignore)
  if [ "$size" = tiny ]; then
    part tests 120 env TRITON_INTERPRET=1 "$python" "${watched[@]}" -m '' "${many[@]}" \
      tests/kernels/test_triton.py
  else
    part tests 100 "$python" "${watched[@]}" -m gpu "${many[@]}" \
      tests/kernels tests/helios_core/test_eightbit.py tests/helios_core/test_program.py \
      tests/helios_core/test_beside.py tests/engine/test_warm_up.py \
      tests/training/test_graphed.py tests/training/worlds/test_wilds_pictures.py
  fi
else
  echo "pytest is missing: only bench kernels compares values and gradients with the references"
fi
wait "$looking"
few=(--repeats 3 --warmup 1)
[ "$size" = tiny ] && few=(--repeats 2 --warmup 1)
against=()
if grep -q '^diffusers' "$looked"; then
  against=(--against diffusers)
  bench pipeline 170 pipeline "${few[@]}" "${against[@]}"
else
  echo "diffusers is missing: the pipeline does not run, its codec and its rival come from there"
  tail -n 1 "$looked"; failed=1
fi
[ "$size" = tiny ] || few=(--repeats 10 --warmup 2)
bench kernels 60 kernels "${few[@]}"
[ "$size" = tiny ] || few=(--repeats 5 --warmup 1)
bench dit 90 dit "${few[@]}"
bench train 45 train "${few[@]}"
if [ "$size" = tiny ] || ! grep -q '^devices [01]$' "$looked"; then
  bench context 60 context "${few[@]}"
else
  echo "context: skipped, it shares a forward between two GPUs and here is one"
fi
if [ "$size" = tiny ] || [ "$tests" -eq 0 ]; then
  echo "sanitizer: skipped, it watches the tests of compiled kernels"
elif command -v compute-sanitizer >/dev/null; then
  part sanitizer 60 compute-sanitizer --tool memcheck --error-exitcode 1 "$python" \
    "${watched[@]}" -m gpu -x tests/kernels/test_triton.py
else
  echo "sanitizer: skipped, there is no compute-sanitizer on this machine"
fi
# Last, as it is an option and compiles: the codec's cache is torch's own, so a second run is faster.
if [ ${#against[@]} -eq 0 ]; then
  echo "compiled: skipped, diffusers is missing"
elif [ "$size" = tiny ] && ! command -v g++ >/dev/null; then
  echo "compiled: skipped, a processor's programs want g++ and there is none"
else
  bench compiled 120 pipeline --compile --variant cached_8bit "${few[@]}"
fi
cat "$results/summary.md"
echo "$((SECONDS - began)) s in all"
exit "$failed"
