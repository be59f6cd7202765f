#!/bin/bash
# Make the voices of wavenet-multilingual again, from packages to a model folder, on Apache-2.0 and CC0 data alone. Started
# again after any kill, it goes on. For 300 sentences a voice: three core-hours of corpora, then training.
#
#     training/reproduce.sh FOLDER [SENTENCES]
#
# Everything lies in FOLDER, which should outlive the checkout; with more SENTENCES the corpora grow, and the runs are new
# ones. Beside other work, run it at the lowest priority:
# setsid nohup nice -n 19 training/reproduce.sh FOLDER &   (and where there are autogroups, echo 19 >/proc/PID/autogroup)
set -eu
home=$(mkdir -p "$1" && cd "$1" && pwd)
sentences=${2:-300}
ancestral=$(cd "$(dirname "$0")/.." && pwd)/.venv/bin/ancestral
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

kokoro=(af_nova af_alloy af_sarah am_echo am_eric am_michael am_onyx bf_emma bf_lily bm_fable bm_george
  ef_dora em_alex ff_siwis if_sara im_nicola pf_dora pm_alex)
voices=(heart joe "${kokoro[@]}")
speakers=heart=1,nova=1,alloy=1,sarah=1,echo=1,eric=1,michael=1,onyx=1,joe=1,emma=1,lily=1,fable=1,george=1,dora=1,alex=1
speakers+=,siwis=1,sara=1,nicola=1,dora-br=1,alex-br=1

done_once() {  # MARK COMMAND…: a step that is not repeated once it has ended
  [ -e "$home/$1" ] || { "${@:2}" && touch "$home/$1"; }
}

runs=$home/runs-$sentences
mkdir -p "$home/corpora" "$home/prepared" "$runs"
for voice in heart joe; do
  done_once "corpora/$voice.$sentences.done" "$ancestral" corpus build $voice -o "$home/corpora/$voice" --count "$sentences"
done
# In rounds, so that all voices grow alike: whatever is there when this is stopped can be trained on.
for ((round = 100; round < sentences + 100; round += 100)); do
  count=$((round < sentences ? round : sentences))
  for voice in "${kokoro[@]}"; do
    done_once "corpora/$voice.$count.done" \
      "$ancestral" corpus build kokoro --voice $voice -o "$home/corpora/$voice" --count $count
  done
done

data=() corpora=()
for voice in "${voices[@]}"; do
  corpora+=("$home/corpora/$voice")
  data+=(--data "$home/prepared/$voice")
  done_once "prepared/$voice.$sentences.done" "$ancestral" corpus prepare "$home/corpora/$voice" -o "$home/prepared/$voice" \
    --shaping linear_prediction --shift 3
done

done_once "runs-$sentences/high_band.done" "$ancestral" train high-band "${corpora[@]}" -o "$runs/high_band"
# A trunk without decay from random weights, and a branch of it whose learning rate falls to 0.
shared=("${data[@]}" --speakers $speakers --shaping linear_prediction --blur 0.5 --crop 40 --batch 2)
"$ancestral" train wavenet "${shared[@]}" --learning-rate 2e-3 --warmup 500 --decay 0 --steps 16000 -o "$runs/trunk"
"$ancestral" train wavenet "${shared[@]}" --anneal-from "$runs/trunk" --steps 4000 -o "$runs/wavenet"
# A network of its own for each voice, from the common one; the others weigh next to nothing, so that all have the same speakers.
for pair in ${speakers//,/ }; do
  voice=${pair%=1}
  "$ancestral" train wavenet "${shared[@]}" --speakers "$(sed "s/=1/=.000001/g; s/\b$voice=.000001/$voice=1/" <<<$speakers)" \
    --start "$runs/wavenet/checkpoint" --learning-rate 8e-4 --warmup 100 --decay 0.6 --steps 1200 -o "$runs/wavenet-$voice"
done
"$ancestral" train acoustic "${data[@]}" --speakers $speakers --learning-rate 2e-3 --warmup 500 --decay 0.3 --steps 8000 \
  -o "$runs/acoustic"

model="$home/wavenet-multilingual"
mkdir -p "$model"
for network in wavenet acoustic; do cp -rT "$runs/$network/checkpoint" "$model/$network"; done
for pair in ${speakers//,/ }; do cp -rT "$runs/wavenet-${pair%=1}/checkpoint" "$model/wavenet-${pair%=1}"; done
cp -rT "$runs/high_band" "$model/high_band"
cp "$(dirname "$0")/../models/zoo/wavenet-multilingual/model.json" "$model/"
echo "$model: copy it over models/zoo/wavenet-multilingual, then judge it: ancestral evaluate speech --help"
