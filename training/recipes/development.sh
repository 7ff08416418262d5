#!/usr/bin/env bash
# What a reader sees in the scans that a model is trained on, by networks that never saw their patient: what settings are chosen by.
#   training/recipes/development.sh [OUT]
# SCREENER_SCANS names the folder of the scans, MADE a folder that preview.sh has finished. The model of each fold is exported and measured on the
# scans of that fold, as they are and with lesions put in; then all folds are counted together: OUT/page/pooled.md and pooled.json. Scans of the
# fold with <name>_lesion.nii.gz beside them are the set `annotated`. Goes on where a killed one ended. In the environment:
#   MADE          that folder; runs/preview where it is not set
#   STAGES        of the encoder: 2 is `preview`, 3 is `large`
#   FAMILIES      lesions put in
#   COPIES        scans made of each scan for each family
#   SEED          of the lesions: another one than those that are trained on (7100) and those of left_out.sh (9300)
#   WEIGHTS       how much discriminator and density count; those of `export` where it is not set
#   WORKERS       processes that make and measure scans
# Research use only: what settings were chosen by says less of new scans than left_out.sh does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${SCREENER_SCANS:?Expected SCREENER_SCANS to name the folder of the real scans}"
out=${1:-runs/development} made=${MADE:-runs/preview} workers=${WORKERS:-2} python=${PYTHON:-.venv/bin/python}
scans=$(cd "$SCREENER_SCANS" && pwd)
discriminator=$made/discriminator_${STAGES:-2}
read -ra families <<<"${FAMILIES:-lung_nodule lung_mass kidney_tumour liver_tumour}"
read -ra weights <<<"${WEIGHTS:-}"
if [ ${#weights[@]} -gt 0 ]; then weights=(--weights "${weights[@]}"); fi
# Spinning OpenMP threads cost more than they save when anything else runs.
export OMP_WAIT_POLICY=PASSIVE
run() {
  local began=$SECONDS status=0
  "$python" training/run.py "$@" || status=$?
  echo "$1: $((SECONDS - began)) s"
  return $status
}
if [ ! -f "$discriminator/folds.json" ]; then
  echo "Expected a finished run of preview.sh in $made, found no $discriminator/folds.json: run it first, or set MADE." >&2
  exit 2
fi
# A line for each fold: its number, then its scans.
folds=$("$python" -c 'import json, sys
folds = json.load(open(sys.argv[1]))
for fold in sorted(set(folds.values())):
    print(fold, *sorted(name for name in folds if folds[name] == fold))' "$discriminator/folds.json")
results=()
while read -ra names <&3; do
  fold=${names[0]} here=$out/fold_${names[0]} paths=() sets=()
  run export --discriminator "$discriminator" --fold "$fold" --out "$here/fold_$fold" "${weights[@]}"
  mkdir -p "$here/annotated"
  for name in "${names[@]:1}"; do
    # A scan is a file or a DICOM folder.
    path=$scans/$name.nii.gz mask=$scans/${name}_lesion.nii.gz
    if [ -d "$scans/$name" ]; then path=$scans/$name; fi
    paths+=("$path")
    if [ -f "$mask" ]; then ln -sfn "$path" "$mask" "$here/annotated" && sets=("$here/annotated"); fi
  done
  for family in "${families[@]}"; do
    status=0
    run insert "${paths[@]}" --out "$here/$family" --family "$family" --seed "${SEED:-8200}" --count "${COPIES:-1}" --workers "$workers" || status=$?
    # That no scan takes such a lesion is told, and no reason to stop; anything else is one.
    if [ "$status" = 0 ]; then sets+=("$here/$family"); elif [ "$status" != 2 ]; then exit "$status"; fi
  done
  measured=(--unlabelled "${paths[@]}")
  if [ ${#sets[@]} -gt 0 ]; then measured+=(--sets "${sets[@]}"); fi
  run evaluate --scores "model:$here/fold_$fold" --out "$here/results" "${measured[@]}" --workers "$workers"
  results+=("$here/results/results.json")
done 3<<<"$folds"
run tables "${results[@]}" --pool --out "$out/page"
