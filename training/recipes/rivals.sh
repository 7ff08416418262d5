#!/usr/bin/env bash
# Table 2 with every rival: each is trained for equally many seconds on the same scans, and all are measured beside Screener on scans left out.
#   training/recipes/rivals.sh [OUT]        SCREENER_SCANS names the folder of the real scans
# Measures annotated real scans, lesions put into real scans, and phantoms; then one table and one page. Goes on where a killed one ended.
# In the environment:
#   BUDGET        seconds of training of each rival; what is fitted in closed form or not at all takes what it takes
#   PRESET        sizes of the rivals: tiny (processors), small (a graphics card) or paper
#   WITHOUT_SCRATCH  anything: leaves out Screener's own method from scratch, whose three networks share those seconds
#   RIVALS        names of the rivals; without it, all. STUNET and ENCODER add what needs them
#   MODELS        models beside them: folders, or names of bundled ones. Those of left_out.sh and scratch_left_out.sh have not seen the tested
#                 scans, the bundled ones may have: the page says which stages did
#   PARTS         anything: both parts of these models alone as well, of which all must be whole-volume models then
#   TESTED        names of the real scans to leave out and measure on; those with a mask beside them are the annotated ones
#   DATA          folder with a store `store` of real scans, and `store_plain` in HU: without it both are made
#   PHANTOMS      phantoms of each family to measure on, 0 for none; TRAIN phantoms to train on besides
#   ONLY_PHANTOMS anything: no real scan is used, neither to train nor to measure
#   STUNET        file with the weights of STU-Net; ENCODER, a folder that the stage `encoder` wrote; DESCRIPTOR, a descriptor's run
#   COPIES        scans made of each tested one for each family of lesions put in
#   FAMILIES      families of lesions that are put in, and of phantoms; without it, all four
#   TILES         tiles that the density from scratch learns from
#   COARSEN, SPACING   voxel size of the phantoms relative to the usual one, and in mm of what the rivals see: for trying out, such as 2 and "9 6 6"
#   GRID          `own` grid of a scan, or the `prepared` one, which costs less
#   OVERLAP, WORKERS   share of a tile that the next one covers again where scans are scored; processes
# Research use only: so few patients say nothing about others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${1:-runs/rivals} workers=${WORKERS:-2} budget=${BUDGET:-600} preset=${PRESET:-tiny} overlap=${OVERLAP:-0.5}
data=${DATA:-$out/data}
run() { "${PYTHON:-.venv/bin/python}" training/run.py "$@"; }
read -ra tested <<<"${TESTED:-lidc0001_dicom lidc_0002 lidc_0003 lung4d_hm10395 matrad_liver panc_cb_001}"
# A rival is a file that ends in a METHOD. STU-Net needs weights that have to be fetched.
every=$(grep -l '^METHOD = ' training/baselines/*.py | xargs -n 1 basename -s .py | grep -vx stunet | tr '\n' ' ')
read -ra rivals <<<"${RIVALS:-$every}"
scratch=''
read -ra models <<<"${MODELS:-preview}"
read -ra families <<<"${FAMILIES:-lung_nodule lung_opacity kidney_tumour liver_tumour}"
spacing=()
if [ -n "${SPACING:-}" ]; then
  read -ra sides <<<"$SPACING"
  spacing=(--preprocess.spacing "${sides[@]}")
fi
export OMP_WAIT_POLICY=passive

phantoms() { run phantoms --out "$1" --coarsen "${COARSEN:-1}" --workers "$workers" "${@:2}"; }
sources=() sets=() paths=() exclude=()
if [ -z "${ONLY_PHANTOMS:-}" ]; then
  : "${SCREENER_SCANS:?Expected SCREENER_SCANS to name the folder of the real scans}"
  scans=$(cd "$SCREENER_SCANS" && pwd)
  sources+=("$scans") exclude=(--exclude "${tested[@]}")
  # A scan is a file or a DICOM folder.
  path_of() { if [ -d "$scans/$1" ]; then echo "$scans/$1"; else echo "$scans/$1.nii.gz"; fi; }
  mkdir -p "$out/annotated"
  for name in "${tested[@]}"; do
    path=$(path_of "$name")
    paths+=("$path")
    mask=$scans/${name}_lesion.nii.gz
    if [ -f "$mask" ]; then ln -sfn "$path" "$mask" "$out/annotated"; fi
  done
  if ls "$out/annotated"/*_lesion.nii.gz >/dev/null 2>&1; then sets+=("$out/annotated"); fi
  for family in "${families[@]}"; do
    status=0
    run insert "${paths[@]}" --out "$out/inserted_$family" --family "$family" --seed 9300 --count "${COPIES:-2}" \
      --workers "$workers" || status=$?
    # That no scan takes such a lesion is told, and no reason to stop; anything else is one.
    if [ "$status" = 0 ]; then sets+=("$out/inserted_$family"); elif [ "$status" != 2 ]; then exit "$status"; fi
  done
fi
if [ "${TRAIN:-40}" != 0 ]; then
  phantoms "$out/train" --count "${TRAIN:-40}" --seed 5000 --prevalence 0.1
  sources+=("$out/train")
fi
if [ "${PHANTOMS:-12}" != 0 ]; then
  for family in "${families[@]}"; do
    phantoms "$out/phantoms_$family" --count "${PHANTOMS:-12}" --seed 9200 --family "$family"
    sets+=("$out/phantoms_$family")
  done
fi
if [ -z "${DATA:-}" ]; then
  run prepare "${sources[@]}" --store "$data/store" --workers "$workers" "${spacing[@]}"
  if [ -n "${STUNET:-}${ENCODER:-}" ]; then run prepare "${sources[@]}" --plain --store "$data/store_plain" --workers "$workers"; fi
fi

# The method of the paper from scratch, as scratch.sh has it: a third of the seconds for each network.
if [ -z "${WITHOUT_SCRATCH:-}" ]; then
  third=$(awk -v all="$budget" 'BEGIN { print all / 180 }')
  within=(--schedule minutes --max-minutes "$third" --steps 1000000 --warmup 20 --average 0.99)
  contrast=(--contrast.objective simclr --contrast.chunk 2048 --crops.positions 1024)
  for stage in descriptor condition; do
    run "$stage" --preset tiny --store "$data/store" --run "$out/scratch/$stage" "${contrast[@]}" "${within[@]}" "${exclude[@]}"
  done
  run density --store "$data/store" --run "$out/scratch/density" --descriptor "$out/scratch/descriptor" --condition "$out/scratch/condition" \
    --sincos 4 --learned-shell 2 5 --surround 3 7 6 14 --head.head gaussian --head.covariance full --head.hidden 512 \
    --tiles "${TILES:-400}" --per-step 48 --block 8 8 8 --voxels 4096 --lr 2e-3 --precision 32-true "${within[@]}" "${exclude[@]}"
  # Rarity, which changes no order of voxels, refers to a few scans of those trained on.
  reference=()
  for path in "$data"/store/*.json; do
    name=$(basename "$path" .json)
    if [[ -f $data/store/$name.body.b2nd && " ${tested[*]} " != *" $name "* ]]; then reference+=("$name"); fi
  done
  [ -f "$out/scratch/model/model.json" ] || run export --store "$data/store" --density "$out/scratch/density" --out "$out/scratch/model" --smooth 3 \
    --reference "${reference[@]:0:4}"
  DESCRIPTOR=${DESCRIPTOR:-$out/scratch/descriptor} scratch=$out/scratch/model
fi

fitted=()
fit() { # NAME METHOD STORE FLAGS
  [ -f "$out/$1/fitted/baseline.json" ] || run baseline "$2" --preset "$preset" --store "$data/$3" --run "$out/$1" --seconds "$budget" \
    "${exclude[@]}" "${@:4}"
  fitted+=("$out/$1/fitted")
}
for name in "${rivals[@]}"; do fit "$name" "$name" store; done
# PatchCore on features of CT, and what has to be fetched.
if [ -n "${DESCRIPTOR:-}" ]; then fit patchcore_descriptor patchcore store --reads descriptor --descriptor "$DESCRIPTOR"; fi
if [ -n "${ENCODER:-}" ]; then fit patchcore_encoder patchcore store_plain --reads encoder --encoder "$ENCODER"; fi
if [ -n "${STUNET:-}" ]; then fit stunet stunet store_plain --features "$STUNET"; fi

results=() parts=()
if [ -n "${PARTS:-}" ]; then parts=(part:discriminator part:density); fi
for model in "${models[@]}" ${scratch:+"$scratch"}; do
  if [ "$model" = "$scratch" ]; then parts=(); fi
  to=$out/results/$(basename "$model")
  run evaluate --scores "model:$model" "${parts[@]}" "${fitted[@]}" gradient random --sets "${sets[@]}" --out "$to" \
    --protocols body-only voxel-all authors --grid "${GRID:-own}" --overlap "$overlap" --workers "$workers"
  results+=("$to/results.json")
  # The rivals are measured once, beside the first model.
  fitted=()
done
run tables "${results[@]}" --out "$out/page"
