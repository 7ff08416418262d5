#!/usr/bin/env bash
# A model and three trivial scorers on held-out phantoms of four lesion families.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
model=${1:-preview}
out=${2:-runs/phantom_table}
run="${PYTHON:-.venv/bin/python} training/run.py"
sets=()
for family in lung_nodule lung_opacity kidney_tumour liver_tumour; do
  $run phantoms --out "$out/$family" --family "$family" --count 20 --seed 9100 --workers 2
  sets+=("$out/$family")
done
# Whose mean HU at each place is the first trivial score.
$run phantoms --out "$out/train" --count 40 --seed 4000 --prevalence 0.1 --workers 2
$run prepare "$out/train" --store "$out/store" --workers 2
$run baseline mean_at_place --store "$out/store" --run "$out/mean_at_place"
$run evaluate --scores "model:$model" "$out/mean_at_place/fitted" gradient random --sets "${sets[@]}" \
  --out "$out/results" --workers 2
