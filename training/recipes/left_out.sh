#!/usr/bin/env bash
# The honest table: models made as `preview` and `large` are, but without the scans that they are measured on. SCREENER_SCANS names the folder.
#   training/recipes/left_out.sh [OUT]
# Measures annotated real scans and lesions put into real scans, beside trivial scores: both models, and the two parts of each score alone; then
# findings and rarities in all scans that were left out. Goes on where a killed one ended. In the environment:
#   TESTED        names of the scans to leave out and measure on; those with a mask beside them are the annotated ones
#   COPIES        scans made of each tested one for each family of lesions put in
#   WORKERS       processes that make and measure scans
# Research use only: so few patients say nothing about others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${SCREENER_SCANS:?Expected SCREENER_SCANS to name the folder of the real scans}"
out=${1:-runs/left_out} workers=${WORKERS:-2}
scans=$(cd "$SCREENER_SCANS" && pwd)
run() {
  local began=$SECONDS status=0
  "${PYTHON:-.venv/bin/python}" training/run.py "$@" || status=$?
  echo "$1: $((SECONDS - began)) s"
  return $status
}
read -ra tested <<<"${TESTED:-lidc0001_dicom lidc_0002 lidc_0003 lidc_0005 lidc_0008 lung4d_hm10395 panc_cb_001 panc_cb_001_full \
  matrad_liver acrin_lower lctsc_s1_102}"
made=$out/made families=(lung_nodule lung_opacity kidney_tumour liver_tumour lung_mass pleural_effusion)
LEFT_OUT="${tested[*]}" SUFFIX=_left_out training/recipes/preview.sh "$made"

# A scan is a file or a DICOM folder.
path_of() { if [ -d "$scans/$1" ]; then echo "$scans/$1"; else echo "$scans/$1.nii.gz"; fi; }
paths=()
mkdir -p "$out/annotated"
for name in "${tested[@]}"; do
  path=$(path_of "$name")
  paths+=("$path")
  mask=$scans/${name}_lesion.nii.gz
  if [ -f "$mask" ]; then ln -sfn "$path" "$mask" "$out/annotated"; fi
done
sets=()
if ls "$out/annotated"/*_lesion.nii.gz >/dev/null 2>&1; then sets+=("$out/annotated"); fi
for family in "${families[@]}"; do
  status=0
  run insert "${paths[@]}" --out "$out/inserted_$family" --family "$family" --seed 9300 --count "${COPIES:-2}" \
    --workers "$workers" || status=$?
  # That no scan takes such a lesion is told, and no reason to stop; anything else is one.
  if [ "$status" = 0 ]; then sets+=("$out/inserted_$family"); elif [ "$status" != 2 ]; then exit "$status"; fi
done

# The two parts of each score, alone.
for stages in 2 3; do
  run export --discriminator "$made/discriminator_$stages" --weights 1 0 --out "$out/discriminator_${stages}_stages"
  run export --discriminator "$made/discriminator_$stages" --weights 0 1 --out "$out/density_${stages}_stages"
done
results=()
for model in "$made/preview_left_out" "$made/large_left_out" "$out"/discriminator_?_stages "$out"/density_?_stages; do
  to=$out/results/$(basename "$model")
  run evaluate --scores "model:$model" gradient random --out "$to" --sets "${sets[@]}" --unlabelled "${paths[@]}" --workers "$workers"
  results+=("$to/results.json")
done
run tables "${results[@]}" --out "$out/page"
