#!/usr/bin/env bash
# Every GPU test and benchmark in one go, in under 9 minutes, for BENCHMARKS.md.
#
#   kernels/gpu_suite.sh RESULTS                # on a CUDA machine, from a checkout
#   kernels/gpu_suite.sh RESULTS --tiny         # the same on a CPU with tiny sizes: a dry run
#
# Needs PyTorch 2.9 or newer, Triton and Python 3.11 or newer, nothing else; no network. pytest runs
# the tests where it is installed. The comparison needs diffusers and what it imports: installed, or
# beside the checkout in a folder named by DIFFUSERS (or ./wheels/diffusers), which this fills:
#   pip install --target wheels/diffusers 'diffusers>=0.42,<0.43' 'transformers>=5'
# compute-sanitizer, where CUDA's tools are installed, watches the kernels' memory accesses.
# Writes NAME.log and NAME.json per part, and summary.md. Exit code 1 if a part failed.
set -uo pipefail
[ $# -ge 1 ] || { echo "usage: kernels/gpu_suite.sh RESULTS [--tiny]" >&2; exit 2; }
mkdir -p "$1" || exit 2
results=$(cd "$1" && pwd)
size=14b device=cuda budget=520 patience=1
# A dry run shows that everything works, on whatever a shared processor has left: it may take longer.
if [ "${2:-}" = --tiny ]; then size=tiny device=cpu budget=3600 patience=6; elif [ -n "${2:-}" ]; then
  echo "gpu_suite: unknown option $2; only --tiny" >&2; exit 2; fi
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
extra=${DIFFUSERS:-$PWD/wheels/diffusers}
export PYTHONPATH="$PWD:$extra${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1
export PYTORCH_ALLOC_CONF=expandable_segments:True
began=$SECONDS failed=0

part() {  # part NAME SECONDS COMMAND...: run within its time and the budget, keep log and last line
  local name=$1 limit=$(($2 * patience)) left=$((budget - (SECONDS - began))); shift 2
  [ "$left" -gt 10 ] || { echo "$name: no time left" | tee "$results/$name.log"; failed=1; return; }
  [ "$limit" -lt "$left" ] || limit=$left
  local start=$SECONDS
  timeout "$limit" "$@" > "$results/$name.log" 2>&1
  local code=$?
  tail -n 1 "$results/$name.log" | grep '^{' > "$results/$name.json" || rm -f "$results/$name.json"
  echo "$name: exit $code after $((SECONDS - start)) s"
  [ "$code" -eq 0 ] || { failed=1; tail -n 5 "$results/$name.log"; }
}

bench() {  # bench NAME SECONDS OPTIONS...
  local name=$1 limit=$2; shift 2
  part "$name" "$limit" "$python" -c 'import sys; from engine.cli import main; sys.exit(main())' \
    bench "$@" --size "$size" --device "$device"
}

if "$python" -c 'import pytest' 2>/dev/null; then
  if [ "$size" = tiny ]; then
    part tests 120 env TRITON_INTERPRET=1 "$python" -m pytest -m '' -p no:cacheprovider \
      -p no:timeout -W ignore tests/kernels/test_triton.py
  else
    part tests 120 "$python" -m pytest -m gpu -p no:cacheprovider -W ignore \
      tests/kernels tests/helios_core/test_eightbit.py tests/helios_core/test_program.py \
      tests/helios_core/test_beside.py
  fi
else
  echo "pytest is missing: only bench kernels compares values and gradients with the references"
fi
few=(); [ "$size" = tiny ] && few=(--repeats 2 --warmup 1)
bench kernels 90 kernels "${few[@]}"
bench dit 120 dit "${few[@]}"
bench train 60 train "${few[@]}"
if [ "$size" = tiny ] || "$python" -c 'import sys, torch; sys.exit(torch.cuda.device_count() < 2)'; then
  bench context 60 context "${few[@]}"
else
  echo "context: skipped, it shares a forward between two GPUs and here is one"
fi
against=()
# diffusers gives out an empty stand-in of that class where transformers is missing
if why=$("$python" -c 'import diffusers.pipelines.helios.pipeline_helios_pyramid' 2>&1); then
  against=(--against diffusers)
else
  echo "diffusers is missing: the pipeline does not run, its codec and its rival come from there"
  echo "${why##*$'\n'}"; failed=1
fi
[ "$size" = tiny ] || few=(--repeats 3 --warmup 1)
[ ${#against[@]} -eq 0 ] || bench pipeline 200 pipeline "${few[@]}" "${against[@]}"
if [ "$size" = tiny ] || ! "$python" -c 'import pytest' 2>/dev/null; then
  echo "sanitizer: skipped, it watches the tests of compiled kernels"
elif command -v compute-sanitizer >/dev/null; then
  part sanitizer 60 compute-sanitizer --tool memcheck --error-exitcode 1 "$python" -m pytest \
    -m gpu -p no:cacheprovider -W ignore -x tests/kernels/test_triton.py
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
"$python" kernels/suite_summary.py "$results" | tee "$results/summary.md"
echo "$((SECONDS - began)) s in all"
exit "$failed"
