#!/usr/bin/env bash
# Spends a few minutes of one rented graphics card on a machine without network, in two calls: torch, lightning, numpy, scipy, scikit-image,
# Pillow and safetensors are all that it needs there.
#   training/recipes/minutes.sh pack              at home: scans (SCREENER_SCANS) and encoder into $OUT/in, which travels beside this tree
#   training/recipes/minutes.sh smoke             there, 75 s at most: unpacks, a few steps of everything, and how fast they are
#   training/recipes/minutes.sh main              there, 580 s at most: trains, writes model folders and parts of 15 MB to bring back
#   training/recipes/minutes.sh unpack            at home: model folders from the parts in $OUT/back
# ROUTE=encoder (else scratch) trains the discriminator on the public encoder with many draws, at the same time tunes the encoder, and
# trains another discriminator on that: which of both models is better is measured at home. ROUTE=scratch trains descriptor and condition
# at the same time, then the density. In the environment:
#   OUT            folder of everything (runs/minutes)
#   PYTHON         Python of the machine
#   WORKERS        processes for what has no use of a card
#   DRAWS          how often each scan is corrupted, for each discriminator
#   TUNE_MINUTES, NETWORK_MINUTES, DENSITY_MINUTES      minutes of training
#   LEFT_OUT       names of scans that stay at home; those with outlined lesions where it is not set
#   STEPS          steps of the smoke call
#   SMALL_*        flags of a stage, for trying out on a processor: TUNE, DISCRIMINATOR, NETWORK, CONDITION, DENSITY
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
call=${1:?Expected pack, smoke, main or unpack}
out=${OUT:-runs/minutes} route=${ROUTE:-encoder} workers=${WORKERS:-14} steps=${STEPS:-20}
masked="lidc0001_dicom lidc_0002 lidc_0003 lidc_0005 lidc_0008 lung4d_hm10395"
read -ra left_out <<<"${LEFT_OUT-$masked}"
read -ra small_tune <<<"${SMALL_TUNE:-}"
read -ra small_discriminator <<<"${SMALL_DISCRIMINATOR:-}"
read -ra small_network <<<"${SMALL_NETWORK:-}"
read -ra small_condition <<<"${SMALL_CONDITION:-}"
read -ra small_density <<<"${SMALL_DENSITY:-}"
exclude=()
if [ ${#left_out[@]} -gt 0 ]; then exclude=(--exclude "${left_out[@]}"); fi
# Spinning OpenMP threads cost more than they save when anything else runs.
export OMP_WAIT_POLICY=PASSIVE
mkdir -p "$out"

run() { "${PYTHON:-.venv/bin/python}" training/run.py "$@"; }
timed() { # NAME STAGE FLAGS: notes how long it took
  local began=$SECONDS name=$1
  shift
  run "$@"
  echo "$name $((SECONDS - began))" >>"$out/seconds_$call.txt"
}

pack() {
  local how=(--plain)
  if [ "$route" = scratch ]; then how=(--preprocess.clahe-clip 0); fi
  run prepare "${SCREENER_SCANS:?Expected SCREENER_SCANS to name the folder of the scans}" \
    --store "$out/store_$route" "${how[@]}" --workers "$workers"
  mkdir -p "$out/in"
  run pack --store "$out/store_$route" --out "$out/in/$route.pack" --workers "$workers" --most-mib 40 "${exclude[@]}"
  if [ "$route" = encoder ]; then run encoder --stages 2 --out "$out/in/encoder"; fi
}

unpack_scans() {
  if [ -f "$out/unpacked_$route/manifest.json" ]; then return; fi
  local how=()
  if [ "$route" = scratch ]; then how=(--equalize); fi
  timed "unpack" unpack "$out/in/$route.pack" --out "$out/unpacked_$route" --workers "$workers" "${how[@]}"
}

store=$out/unpacked_$route
tune() { # RUN FLAGS
  run encoder --tune --store "$store" --encoder "$out/in/encoder" --run "$out/$1" --in-memory \
    --crops.size 48 96 96 --crops.pairs 8 --crops.positions 4096 --warmup 100 --workers 4 --log-every 5 --count-flop "${@:2}" "${small_tune[@]}"
}
discriminator() { # RUN ENCODER FLAGS
  timed "$1" discriminator --store "$store" --encoder "$2" --run "$out/$1" --patient '(panc_cb_001|.*)' \
    --draw.workers "$workers" "${@:3}" "${small_discriminator[@]}"
}
descriptor() { # RUN FLAGS
  run descriptor --preset minutes --store "$store" --run "$out/$1" --log-every 5 --count-flop "${@:2}" "${small_network[@]}"
}
condition() { # RUN FLAGS
  run condition --preset minutes --store "$store" --run "$out/$1" --log-every 5 --count-flop "${@:2}" "${small_network[@]}" "${small_condition[@]}"
}
density() { # RUN NETWORKS FLAGS
  timed "$1" density --preset minutes --store "$store" --run "$out/$1" --descriptor "$out/descriptor$2" --condition "$out/condition$2" \
    --log-every 5 --count-flop "${@:3}" "${small_density[@]}"
}
by_steps=(--schedule steps --steps "$steps")

smoke() {
  rm -f "$out/seconds_smoke.txt"
  unpack_scans
  if [ "$route" = encoder ]; then
    tune smoke_tuned "${by_steps[@]}"
    run pace --runs "$out/smoke_tuned" --seconds "$out/seconds_smoke.txt" --out "$out/pace_smoke.md"
  else
    descriptor smoke_descriptor "${by_steps[@]}"
    condition smoke_condition "${by_steps[@]}"
    run pace --runs "$out/smoke_descriptor" "$out/smoke_condition" --seconds "$out/seconds_smoke.txt" --out "$out/pace_smoke.md"
  fi
}

# Waits for a process in the background; its failure ends the recipe.
tuned() {
  tune tuned --schedule minutes --max-minutes "${TUNE_MINUTES:-3.5}" >"$out/tuned.log" 2>&1
}

main_encoder() {
  tuned &
  local background=$! began=$SECONDS
  discriminator discriminator_public "$out/in/encoder" --draw.rows.draws "${DRAWS:-12}" --seeds 3
  wait "$background"
  echo "tuned $((SECONDS - began))" >>"$out/seconds_main.txt"
  discriminator discriminator_tuned "$out/tuned" --draw.rows.draws "${DRAWS:-12}" --seeds 3
  timed export_public export --discriminator "$out/discriminator_public" --out "$out/public"
  timed export_tuned export --discriminator "$out/discriminator_tuned" --out "$out/tuned_model"
  run pace --runs "$out/tuned" --seconds "$out/seconds_main.txt" --out "$out/pace_main.md"
  run pack --runs "$out/public" "$out/tuned_model" "$out/tuned" --out "$out/back"
}

main_scratch() {
  local began=$SECONDS
  descriptor descriptor --max-minutes "${NETWORK_MINUTES:-6.4}" >"$out/descriptor.log" 2>&1 &
  local background=$!
  condition condition --max-minutes "${NETWORK_MINUTES:-6.4}"
  wait "$background"
  echo "networks $((SECONDS - began))" >>"$out/seconds_main.txt"
  density density "" --max-minutes "${DENSITY_MINUTES:-1}"
  timed export export --store "$store" --density "$out/density" --out "$out/scratch"
  run pace --runs "$out/descriptor" "$out/condition" "$out/density" --seconds "$out/seconds_main.txt" --out "$out/pace_main.md"
  run pack --runs "$out/scratch" "$out/descriptor" "$out/condition" "$out/density" --out "$out/back"
}

case $call in
  pack) pack ;;
  smoke) smoke ;;
  main)
    rm -f "$out/seconds_main.txt"
    unpack_scans
    "main_$route"
    ;;
  unpack) run unpack "$out/back" --out "$out/home" ;;
  *) echo "Expected pack, smoke, main or unpack, found $call" >&2; exit 2 ;;
esac
