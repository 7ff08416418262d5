#!/usr/bin/env bash
# Makes the bundled models `preview` and `preview_fast` again, from raw scans: SCREENER_SCANS names the folder of real ones.
# About two hours on two quiet CPU cores; every stage goes on where a killed one ended. On one graphics card, `--preset small`
# takes the place of `tiny` and of the flags after it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${SCREENER_SCANS:?Expected SCREENER_SCANS to name the folder of the real scans}"
out=${1:-runs/preview}
run=".venv/bin/python training/run.py"
# Patterns of the real scans' names.
real=('acrin*' 'cmb*' 'cptac*' 'lidc*' 'lung*' 'matrad*' 'panc*' 'tcga*' 'ts*')

# Spinning OpenMP threads cost more than they save when anything else runs.
export OMP_WAIT_POLICY=passive

OMP_NUM_THREADS=1 $run phantoms --out "$out/phantoms_a" --count 100 --seed 4000 --prevalence 0.1 --workers 2
OMP_NUM_THREADS=1 $run phantoms --out "$out/phantoms_b" --count 44 --seed 3000 --prevalence 0.1 --workers 2
OMP_NUM_THREADS=1 $run prepare "$SCREENER_SCANS" "$out/phantoms_a" "$out/phantoms_b" --store "$out/store" --workers 2
# The density learns in minutes, so it can see more.
OMP_NUM_THREADS=1 $run phantoms --out "$out/phantoms_c" --count 200 --seed 5000 --prevalence 0.1 --workers 2
OMP_NUM_THREADS=1 $run prepare "$SCREENER_SCANS" "$out"/phantoms_? --store "$out/store_density" --workers 2

$run descriptor --preset tiny --store "$out/store" --run "$out/descriptor" \
  --contrast.objective simclr --contrast.chunk 2048 --crops.positions 1024 --steps 3000 --average 0.995
$run condition --preset tiny --store "$out/store" --run "$out/condition" \
  --contrast.objective simclr --contrast.chunk 2048 --crops.positions 1024 --crops.pairs 6 \
  --crops.size 32 72 72 --crops.scale 1.0 1.5 --network.stem 2 3 3 \
  --masks.chance 0.5 --masks.least 8 12 12 --masks.largest 16 24 24 --steps 650 --lr 6e-4 --average 0.99
# Both are read in a shell around a voxel: after so few steps the condition still knows what was hidden (LOG.md).
$run density --store "$out/store_density" --run "$out/density" \
  --descriptor "$out/descriptor" --condition "$out/condition" \
  --sincos 4 --learned-shell 2 5 --surround 3 7 6 14 \
  --head.head gaussian --head.covariance full --head.hidden 512 \
  --often "${real[@]}" --times 4 \
  --tiles 880 --per-step 48 --block 8 8 8 --voxels 4096 \
  --lr 2e-3 --warmup 100 --average 0.99 --precision 32-true --steps 3000

# Rarity refers to the real scans alone: users screen patients, not phantoms.
$run export --store "$out/store_density" --density "$out/density" --out "$out/preview" --smooth 6 \
  --reference "${real[@]}" \
  --notes training/recipes/preview_notes.md

# The fast one: a single network that learns what the three say. On scans that it does not learn from, the two are compared.
$run distil --preset tiny --store "$out/store_density" --model "$out/preview" --run "$out/distil" \
  --often "${real[@]}" --times 4 --held-out 'mixed_*_00?5' lidc_0003 matrad_liver
$run export --store "$out/store_density" --distilled "$out/distil" --out "$out/preview_fast" \
  --reference "${real[@]}" \
  --notes training/recipes/preview_fast_notes.md
