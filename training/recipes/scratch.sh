#!/usr/bin/env bash
# Trains the method of the paper from scratch, with its distilled copy, as the first bundled models were made, from raw scans: SCREENER_SCANS names the folder of real ones.
#   training/recipes/scratch.sh [OUT]
# About two hours on two quiet CPU cores; every stage goes on where a killed one ended. On one graphics card, `--preset small`
# takes the place of `tiny` and of the flags after it. In the environment, for models like it (see scratch_left_out.sh):
#   LEFT_OUT   names of real scans that nothing is trained or calibrated on
#   HELD_OUT   names of real scans that are calibrated on and nothing else is; without it, rarity refers to those trained on
#   DATA       folder that holds phantoms and stores already; OUT otherwise
#   NETWORKS   folder of a finished descriptor and condition, which may have seen what is left out; OUT otherwise
#   MODEL      name of the model; `scratch` otherwise; the distilled one is called after it
#   WITHOUT_DISTILLED     anything: leaves the distilled one out
#   FEW, STEPS, TILES, COARSEN     phantoms of each kind, steps of each network, tiles of the density, voxel size of phantoms: for trying out
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${SCREENER_SCANS:?Expected SCREENER_SCANS to name the folder of the real scans}"
out=${1:-runs/scratch}
data=${DATA:-$out} networks=${NETWORKS:-$out}
run="${PYTHON:-.venv/bin/python} training/run.py"
# Patterns of the real scans' names.
real=('acrin*' 'cmb*' 'cptac*' 'lidc*' 'lung*' 'matrad*' 'panc*' 'tcga*' 'ts*')
read -ra left_out <<<"${LEFT_OUT:-}"
read -ra held_out <<<"${HELD_OUT:-}"
unseen=("${left_out[@]}" "${held_out[@]}")
exclude=() density_exclude=() hold=() short=() few=()
reference=("${real[@]}") left=() notes=(--notes training/recipes/scratch_notes.md)
# The notes tell of the model that saw all.
if [ ${#unseen[@]} -gt 0 ]; then exclude=(--exclude "${unseen[@]}") notes=(); fi
if [ ${#left_out[@]} -gt 0 ]; then density_exclude=(--exclude "${left_out[@]}"); fi
if [ ${#held_out[@]} -gt 0 ]; then
  hold=(--held-out "${held_out[@]}")
  reference=("${held_out[@]}") left=(--left-out)
fi
if [ -n "${STEPS:-}" ]; then short=(--steps "$STEPS" --warmup $((STEPS / 10))); fi
if [ -n "${TILES:-}" ]; then few=(--tiles "$TILES"); fi

# Spinning OpenMP threads cost more than they save when anything else runs.
export OMP_WAIT_POLICY=passive

phantoms() { # NAME COUNT SEED
  OMP_NUM_THREADS=1 $run phantoms --out "$data/$1" --count "${FEW:-$2}" --seed "$3" --prevalence 0.1 \
    --coarsen "${COARSEN:-1}" --workers 2
}
prepare() { OMP_NUM_THREADS=1 $run prepare "$SCREENER_SCANS" "${@:2}" --store "$data/$1" --workers 2; }

# Given data is taken as it is.
if [ -z "${DATA:-}" ]; then
  phantoms phantoms_a 100 4000
  phantoms phantoms_b 44 3000
  prepare store "$data/phantoms_a" "$data/phantoms_b"
  # The density learns in minutes, so it can see more.
  phantoms phantoms_c 200 5000
  prepare store_density "$data"/phantoms_?
fi

if [ -z "${NETWORKS:-}" ]; then
  $run descriptor --preset tiny --store "$data/store" --run "$out/descriptor" \
    --contrast.objective simclr --contrast.chunk 2048 --crops.positions 1024 --steps 3000 --average 0.995 \
    "${exclude[@]}" "${short[@]}"
  $run condition --preset tiny --store "$data/store" --run "$out/condition" \
    --contrast.objective simclr --contrast.chunk 2048 --crops.positions 1024 --crops.pairs 6 \
    --crops.size 32 72 72 --crops.scale 1.0 1.5 --network.stem 2 3 3 \
    --masks.chance 0.5 --masks.least 8 12 12 --masks.largest 16 24 24 --steps 650 --lr 6e-4 --average 0.99 \
    "${exclude[@]}" "${short[@]}"
fi
# Both are read in a shell around a voxel: after so few steps the condition still knows what was hidden (LOG.md).
$run density --store "$data/store_density" --run "$out/density" \
  --descriptor "$networks/descriptor" --condition "$networks/condition" \
  --sincos 4 --learned-shell 2 5 --surround 3 7 6 14 \
  --head.head gaussian --head.covariance full --head.hidden 512 \
  --often "${real[@]}" --times 4 \
  --tiles 880 --per-step 48 --block 8 8 8 --voxels 4096 \
  --lr 2e-3 --warmup 100 --average 0.99 --precision 32-true --steps 3000 \
  "${density_exclude[@]}" "${hold[@]}" "${short[@]}" "${few[@]}"

# Rarity refers to the real scans alone: users screen patients, not phantoms.
$run export --store "$data/store_density" --density "$out/density" --out "$out/${MODEL:-scratch}" --smooth 3 \
  --reference "${reference[@]}" "${left[@]}" "${notes[@]}"

if [ -n "${WITHOUT_DISTILLED:-}" ]; then exit 0; fi
# A small network that learns what condition and density say. On scans that it does not learn from, the two are compared.
watched=(--held-out 'mixed_*_00?5' "${held_out[@]}")
if [ ${#held_out[@]} -eq 0 ]; then watched+=(lidc_0003 matrad_liver); fi
$run distil --preset tiny --store "$data/store_density" --model "$out/${MODEL:-scratch}" --run "$out/distil" \
  --often "${real[@]}" --times 4 "${watched[@]}" "${density_exclude[@]}" "${short[@]}" "${few[@]}"
if [ ${#notes[@]} -gt 0 ]; then notes=(--notes training/recipes/scratch_distilled_notes.md); fi
$run export --store "$data/store_density" --distilled "$out/distil" --out "$out/${MODEL:-scratch}_distilled" \
  --reference "${reference[@]}" "${left[@]}" "${notes[@]}"
