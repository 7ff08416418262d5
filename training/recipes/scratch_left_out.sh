#!/usr/bin/env bash
# The table of the model trained from scratch, but without the scans that it is measured on. SCREENER_SCANS names the folder of the real ones.
#   training/recipes/scratch_left_out.sh [OUT]
# Measures annotated real scans, lesions put into real scans, and phantoms, beside trivial scores and a fitted baseline; then findings and rarities
# in all real scans that were left out, calibrated on scans that were held out, and on those trained on. Goes on where a killed one ended.
# In the environment:
#   TESTED        names of the real scans to leave out and measure on; those with a mask beside them are the annotated ones
#   HELD_OUT      names of the real scans that rarity refers to, which nothing is trained on either
#   DATA, NETWORKS     see scratch.sh: without them everything is made and trained anew, about two hours on two cores. A descriptor and a condition
#                 that saw the tested scans make this cheap, and the table says so (checked by hash)
#   WITHOUT_DISTILLED  anything: neither makes nor measures the distilled model
#   COPIES        scans made of each tested one for each family of lesions put in
#   PHANTOMS      phantoms of each family
#   WORKERS       processes that make and measure scans
#   FEW, STEPS, TILES, COARSEN     for trying out, see scratch.sh
# Research use only: so few patients say nothing about others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${SCREENER_SCANS:?Expected SCREENER_SCANS to name the folder of the real scans}"
out=${1:-runs/scratch_left_out} workers=${WORKERS:-2}
scans=$(cd "$SCREENER_SCANS" && pwd)
run() { "${PYTHON:-.venv/bin/python}" training/run.py "$@"; }
read -ra tested <<<"${TESTED:-lidc0001_dicom lidc_0002 lidc_0003 lung4d_hm10395 matrad_liver panc_cb_001}"
read -ra held_out <<<"${HELD_OUT:-acrin_lower cptac_c3l_00189 lidc_0314 lungdx_a0001}"
made=$out/made data=${DATA:-$out/made} families=(lung_nodule lung_opacity kidney_tumour liver_tumour)

LEFT_OUT="${tested[*]}" HELD_OUT="${held_out[*]}" MODEL=scratch_left_out training/recipes/scratch.sh "$made"

# Which real scans are what: a scan is a file or a DICOM folder.
path_of() { if [ -d "$scans/$1" ]; then echo "$scans/$1"; else echo "$scans/$1.nii.gz"; fi; }
tested_paths=() trained=()
mkdir -p "$out/annotated"
for name in "${tested[@]}"; do
  path=$(path_of "$name")
  tested_paths+=("$path")
  mask=$scans/${name}_lesion.nii.gz
  if [ -f "$mask" ]; then ln -sfn "$path" "$mask" "$out/annotated"; fi
done
held_out_paths=()
for name in "${held_out[@]}"; do held_out_paths+=("$(path_of "$name")"); done
for path in "$scans"/*; do
  name=$(basename "$path" .nii.gz)
  if [[ " ${tested[*]} ${held_out[*]} " == *" $name "* || $name == *_lesion ]]; then continue; fi
  # What is no scan matches no name in the store.
  trained+=("$name")
done

# How far rarities are off that refer to the scans trained on, as those of a model trained on all do.
if [ ! -f "$out/trained_reference/model.json" ]; then
  run export --store "$data/store_density" --density "$made/density" --out "$out/trained_reference" --smooth 3 \
    --reference "${trained[@]}"
fi
mean_at_place() { # NAME FLAGS
  if [ ! -f "$out/$1/fitted/baseline.json" ]; then
    run baseline mean_at_place --store "$data/store_density" --run "$out/$1" "${@:2}"
  fi
}
mean_at_place mean_at_place --only 'mixed_4000_*' --limit 40
mean_at_place real_mean_at_place --only "${trained[@]}"

sets=()
if ls "$out/annotated"/*_lesion.nii.gz >/dev/null 2>&1; then sets+=("$out/annotated"); fi
for family in "${families[@]}"; do
  status=0 hosts=("${tested_paths[@]}")
  # Few scans show a kidney as a whole. Those held out decide what is called rare, and no order of voxels.
  if [ "$family" = kidney_tumour ]; then hosts+=("${held_out_paths[@]}"); fi
  run insert "${hosts[@]}" --out "$out/inserted_$family" --family "$family" --seed 9300 \
    --count "${COPIES:-2}" --workers "$workers" || status=$?
  if [ "$status" = 0 ]; then
    sets+=("$out/inserted_$family")
  # That no scan takes such a lesion is told, and no reason to stop; anything else is one.
  elif [ "$status" != 2 ] || ls "$out/inserted_$family"/*.nii.gz >/dev/null 2>&1; then
    exit "$status"
  fi
done
for family in "${families[@]}"; do
  run phantoms --out "$out/phantoms_$family" --family "$family" --count "${PHANTOMS:-20}" --seed 9100 \
    --coarsen "${COARSEN:-1}" --workers "$workers"
  sets+=("$out/phantoms_$family")
done

results=()
rivals=("$out/mean_at_place/fitted" "$out/real_mean_at_place/fitted" gradient random)
measure() { # NAME MODEL FLAGS
  local to=$out/results/$1
  run evaluate --scores "model:$2" "${rivals[@]}" --out "$to" --unlabelled "${tested_paths[@]}" \
    --workers "$workers" "${@:3}"
  results+=("$to/results.json")
}
measured=(--sets "${sets[@]}")
measure scratch_left_out "$made/scratch_left_out" "${measured[@]}"
# The same at its fast speed.
measure scratch_left_out_apart "$made/scratch_left_out" "${measured[@]}" --overlap 0
if [ -z "${WITHOUT_DISTILLED:-}" ]; then
  measure scratch_left_out_distilled "$made/scratch_left_out_distilled" "${measured[@]}" --overlap 0
fi
measure trained_reference "$out/trained_reference"
run tables "${results[@]}" --out "$out/page"
