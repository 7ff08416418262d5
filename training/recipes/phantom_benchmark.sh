#!/usr/bin/env bash
# Trains and measures every cell of the paper's Tables 3 and 4 on phantoms, and sets them beside what the paper prints.
#   training/recipes/phantom_benchmark.sh [PRESET] [OUT]        PRESET: tiny, small or paper
# Goes on where a killed one ended: phantoms, training, calibration and measuring, cell by cell. In the environment:
#   TRAIN, TEST   scans of the training set and of each of the four test sets
#   STEPS, TILES  steps of each network and tiles of each density in place of the preset's, for trying out
#   HEAD_STEPS    steps of each density, which are cheap; without it, STEPS
#   REFERENCE     pattern of the training scans that rarity refers to; no number of the tables depends on it
#   OVERLAP       share of a tile that the next one covers again where scans are scored; 0 for trying out
#   COARSEN       voxel size of the phantoms relative to the usual one: 1.5 for trying out
#   CELLS         the cells to train and measure; without it, all of them
#   WORKERS       processes that make, prepare and measure scans
# Research use only: phantoms are not patients.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
preset=${1:-tiny} out=${2:-runs/phantom_benchmark} workers=${WORKERS:-2}
python=${PYTHON:-.venv/bin/python}
run() { "$python" training/run.py "$@"; }
short=() few=() overlap=${OVERLAP:-0.5}
if [ -n "${STEPS:-}" ]; then short=(--steps "$STEPS" --warmup $((STEPS / 10))); fi
heads=${HEAD_STEPS:-${STEPS:-}}
if [ -n "$heads" ]; then few+=(--steps "$heads" --warmup $((heads / 10))); fi
if [ -n "${TILES:-}" ]; then few+=(--tiles "$TILES"); fi

# Fixed seeds: a training set with unlabelled lesions, and four test sets after LIDC, MIDRC, KiTS and LiTS.
phantoms() { run phantoms --out "$out/$1" --coarsen "${COARSEN:-1}" --workers "$workers" "${@:2}"; }
phantoms train --count "${TRAIN:-120}" --seed 5000 --prevalence 0.1
sets=()
for family in lung_nodule lung_opacity kidney_tumour liver_tumour; do
  phantoms "$family" --count "${TEST:-12}" --seed 9200 --family "$family"
  sets+=("$out/$family")
done
fine=()
# The paper's crops are cut from a finer copy of the scans.
if [ "$preset" = paper ]; then fine=(--fine 1.5 1.0 1.0); fi
[ -f "$out/store/manifest.json" ] || run prepare "$out/train" --store "$out/store" --workers "$workers" "${fine[@]}"
[ -f "$out/mean_at_place/fitted/baseline.json" ] \
  || run baseline mean_at_place --store "$out/store" --limit 60 --run "$out/mean_at_place"

# A network is trained once, whatever the number of cells that use it; a finished one is left alone.
network() { # STAGE NAME FLAGS
  [ -f "$out/$2/result.json" ] && grep -q '"finished": true' "$out/$2/result.json" && return
  run "$1" --preset "$preset" --store "$out/store" --run "$out/$2" "${@:3}"
}
descriptor() {
  case $1 in
    vicreg32) network descriptor vicreg32 --contrast.objective vicreg --network.out 32 "${short[@]}" ;;
    vicreg128) network descriptor vicreg128 --contrast.objective vicreg --network.out 128 "${short[@]}" ;;
    simclr32) network descriptor simclr32 --contrast.objective simclr --network.out 32 "${short[@]}" ;;
  esac
}
# What each condition needs first, and its flags for the density.
condition() {
  case $1 in
    none) given=(--sincos 0) ;;
    sincos) given=(--sincos 4) ;;
    ape)
      network ape ape "${short[@]}"
      given=(--sincos 0 --ape "$out/ape")
      ;;
    masked)
      network condition masked "${short[@]}"
      given=(--sincos 0 --condition "$out/masked")
      ;;
  esac
}

cells="vicreg32-none-gaussian vicreg32-sincos-gaussian vicreg32-ape-gaussian vicreg32-masked-gaussian"
cells+=" vicreg32-none-flow vicreg32-sincos-flow vicreg32-ape-flow vicreg32-masked-flow"
cells+=" simclr32-none-flow vicreg128-none-flow"

results=()
for cell in ${CELLS:-$cells}; do
  IFS=- read -r described conditioned head <<<"$cell"
  echo "== $cell"
  if [ ! -f "$out/$cell/model.json" ]; then
    descriptor "$described"
    condition "$conditioned"
    network density "$cell-density" --descriptor "$out/$described" "${given[@]}" --head.head "$head" \
      "${few[@]}"
    run export --store "$out/store" --density "$out/$cell-density" --out "$out/$cell" --screen.overlap "$overlap" \
      --reference "${REFERENCE:-*_000?}"
  fi
  run evaluate --scores "model:$out/$cell" "$out/mean_at_place/fitted" gradient random --sets "${sets[@]}" \
    --out "$out/results/$cell" --protocols body-only authors --overlap "$overlap" --workers "$workers"
  results+=("$out/results/$cell/results.json")
done
run tables "${results[@]}" --out "$out/page"
