#!/usr/bin/env bash
# Spends a few minutes of one rented graphics card on a machine without network, in two calls: torch, lightning, numpy, scipy, scikit-image,
# Pillow and safetensors are all that it needs there.
#   training/recipes/minutes.sh pack              at home: scans (SCREENER_SCANS) and encoder into $OUT/in, which travels beside this tree
#   training/recipes/minutes.sh smoke             there, 75 s at most: unpacks, a few steps of everything, and how fast they are
#   training/recipes/minutes.sh main              there, 580 s at most: trains, writes model folders and parts of 15 MB to bring back;
#                                                 what there is to bring back is written before what may come too late
#   training/recipes/minutes.sh unpack            at home: model folders from the parts in $OUT/back
# ROUTE=encoder (else scratch) trains the discriminator on the public encoder with many draws, at the same time tunes the encoder, and
# trains another discriminator on that: which of both models is better is measured at home. ROUTE=scratch trains descriptor and condition
# at the same time, then the density. In the environment:
#   OUT            folder of everything (runs/minutes)
#   PYTHON         Python of the machine
#   WORKERS        processes for what has no use of a card
#   LIMIT          seconds of a call there, 75 (smoke) and 580 (main): trainings and draws are shortened to fit, and what does not is
#                  left out or ended, with a line that says so
#   SPARE          seconds of LIMIT that are kept for exporting and packing (40)
#   DRAWS          how often each scan is corrupted, for each discriminator, as far as the time reaches
#   TUNE_MINUTES, NETWORK_MINUTES, DENSITY_MINUTES      minutes of training, as far as the time reaches
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
case $call in smoke) limit=${LIMIT:-75} ;; main) limit=${LIMIT:-580} ;; *) limit=0 ;; esac
spare=${SPARE:-40} SECONDS=0
if [ "$call" = smoke ]; then spare=0; fi
for one in "LIMIT $limit" "SPARE $spare"; do
  if ! [[ $one =~ ^[A-Z]+\ (0|[1-9][0-9]{0,7})$ ]]; then echo "Expected ${one%% *} in whole seconds, found '${one#* }'" >&2; exit 2; fi
done
if [[ $call = smoke || $call = main ]] && [ "$limit" -le "$spare" ]; then
  echo "Expected a LIMIT of more than the $spare s that are kept for packing (SPARE), found $limit" >&2
  exit 2
fi

left() { echo $((limit - SECONDS - spare)); } # Seconds that may be spent before exporting and packing begin.
say() { echo "minutes: $*" | tee -a "$out/left_out_$call.txt" >&2; }
least() { echo $(($1 < $2 ? $1 : $2)); }
seconds_of() { "$python" -c 'import sys; print(round(60 * float(sys.argv[1])))' "$1"; } # MINUTES
minutes_of() { # SECONDS, no less than one
  local seconds=$(($1 > 1 ? $1 : 1))
  printf '%d.%04d\n' $((seconds / 60)) $((seconds % 60 * 10000 / 60))
}
python=${PYTHON:-.venv/bin/python}
held=$spare # Seconds that whatever is run leaves over.
run() { # Ends with status 124 what is not done in time; without a limit at home
  local most=$((limit - SECONDS - held))
  # A call that begins too late has a second: 0 is no limit.
  if [ "$limit" = 0 ]; then most=0; elif [ $most -lt 1 ]; then most=1; fi
  # In the background, as what timeout runs does not hear of Ctrl-C; `stop` tells it.
  timeout -k 10 $most "$python" training/run.py "$@" &
  wait $!
}
stop() {
  trap - INT TERM
  # shellcheck disable=SC2046
  kill $(jobs -p) 2>/dev/null || true
  wait
  exit 130
}
trap stop INT TERM
# What has failed leaves nothing behind that still runs.
# shellcheck disable=SC2046
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
timed() { # NAME STAGE FLAGS: notes how long it took
  local began=$SECONDS name=$1
  shift
  run "$@" || return
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
  timed "unpack" unpack "$out/in/$route.pack" --out "$out/unpacked_$route" --workers "$workers" "${how[@]}" || {
    local status=$?
    if [ $status = 124 ]; then say "the scans were not unpacked in time, nothing comes back; LIMIT was $limit s"; fi
    return $status
  }
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

bring() { # RUNS: writes those that are there into the parts, in the place of those before
  local runs=() one
  for one in "$@"; do if [ -d "$out/$one" ]; then runs+=("$out/$one"); fi; done
  rm -rf "$out/back.new"
  run pack --runs "${runs[@]}" --out "$out/back.new"
  rm -rf "$out/back"
  mv "$out/back.new" "$out/back"
}

took() { # RUN: seconds of a discriminator's draws, and of what comes after them
  "$python" -c 'import json, sys; told = json.load(open(sys.argv[1])); drew = told["draw_seconds"]; print(round(drew), round(told["seconds"] - drew) + 1)' \
    "$out/$1/result.json"
}

main_encoder() {
  local whole began=$SECONDS background minutes drew rest most status=0
  whole=$(left)
  # The second discriminator waits for the tuning.
  minutes=$(minutes_of "$(least "$(seconds_of "${TUNE_MINUTES:-3.5}")" $((whole * 45 / 100)))")
  (
    trap stop INT TERM
    tune tuned --schedule minutes --max-minutes "$minutes"
  ) >"$out/tuned.log" 2>&1 &
  background=$!
  if ! discriminator discriminator_public "$out/in/encoder" --draw.rows.draws "${DRAWS:-12}" --seeds 3 \
    --draw.max-minutes "$(minutes_of $((whole * 3 / 10)))"; then
    say "the discriminator of the public encoder was not done in time, or failed; the tuned encoder comes back, and no model"
    wait "$background" || true
    held=0
    bring tuned
    return 1
  fi
  held=0
  timed export_public export --discriminator "$out/discriminator_public" --out "$out/public"
  bring public
  held=$spare
  if ! wait "$background"; then
    tail -n 5 "$out/tuned.log" >&2
    say "the encoder was not tuned, see tuned.log; the model of the public encoder comes back"
    return 1
  fi
  echo "tuned $((SECONDS - began))" >>"$out/seconds_main.txt"
  read -r drew rest <<<"$(took discriminator_public)"
  most=$(left)
  if [ $((most - rest)) -lt $((drew / 2)) ]; then
    say "left out the discriminator of the tuned encoder: $most s are left, it takes $rest s beside draws, of which the first had $drew s; the model of the public encoder comes back"
  else
    discriminator discriminator_tuned "$out/tuned" --draw.rows.draws "${DRAWS:-12}" --seeds 3 \
      --draw.max-minutes "$(minutes_of "$(least $((most - rest)) $((whole * 3 / 10)))")" || status=$?
    held=0
    if [ $status = 0 ]; then
      timed export_tuned export --discriminator "$out/discriminator_tuned" --out "$out/tuned_model"
    else
      say "the discriminator of the tuned encoder ended with status $status (124: after the $most s that were left); the model of the public encoder comes back"
    fi
  fi
  held=0
  run pace --runs "$out/tuned" --seconds "$out/seconds_main.txt" --out "$out/pace_main.md"
  bring public tuned_model tuned
  # What was out of time has been told of; what has failed is a failure.
  [ $status = 0 ] || [ $status = 124 ]
}

main_scratch() {
  local whole began=$SECONDS background minutes
  whole=$(left)
  minutes=$(minutes_of "$(least "$(seconds_of "${NETWORK_MINUTES:-6.4}")" $((whole * 72 / 100)))")
  (
    trap stop INT TERM
    descriptor descriptor --max-minutes "$minutes"
  ) >"$out/descriptor.log" 2>&1 &
  background=$!
  condition condition --max-minutes "$minutes"
  wait "$background"
  echo "networks $((SECONDS - began))" >>"$out/seconds_main.txt"
  bring descriptor condition
  # As much again is left for describing the scans before, and for what comes after.
  minutes=$(minutes_of "$(least "$(seconds_of "${DENSITY_MINUTES:-1}")" $(($(left) / 2)))")
  if ! density density "" --max-minutes "$minutes"; then
    say "the density was not done in time, or failed; descriptor and condition come back"
    return 1
  fi
  held=0
  timed export export --store "$store" --density "$out/density" --out "$out/scratch"
  run pace --runs "$out/descriptor" "$out/condition" "$out/density" --seconds "$out/seconds_main.txt" --out "$out/pace_main.md"
  bring scratch descriptor condition density
}

case $call in
  pack) pack ;;
  smoke) smoke ;;
  main)
    rm -f "$out/seconds_main.txt" "$out/left_out_main.txt"
    unpack_scans
    "main_$route"
    ;;
  unpack) run unpack "$out/back" --out "$out/home" ;;
  *) echo "Expected pack, smoke, main or unpack, found $call" >&2; exit 2 ;;
esac
