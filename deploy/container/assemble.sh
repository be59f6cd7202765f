#!/bin/sh
# assemble.sh LOCK: create /opt/ancestral, a virtual environment with the wheels of requirements/LOCK.txt and of /wheels/ancestral,
# without pip and without files that serving does not need.
set -eu

build=/opt/build/bin/pip
$build wheel --no-deps --no-build-isolation --require-hashes --requirement "requirements/$1.txt" --wheel-dir "/wheels/$1"
python3 -m venv --without-pip /opt/ancestral
$build --python /opt/ancestral/bin/python3 install --no-index --no-deps --no-compile "/wheels/$1"/*.whl /wheels/ancestral/*.whl

# Test suites of numpy and bytecode would be a quarter of the image.
cd /opt/ancestral/lib/python3*/site-packages
find . -depth -type d -name tests -exec rm -r {} +
# NVIDIA's wheels install each library into its own folder, where the loader does not look: see LD_LIBRARY_PATH in the Dockerfile.
if [ -d nvidia ]; then
    mkdir /opt/ancestral/cuda
    find "$PWD/nvidia" -path '*/lib/*.so*' -exec ln -s -t /opt/ancestral/cuda {} +
fi
# Of bytecode, that of imported modules.
export ANCESTRAL_REDIS_URL=redis://nobody
cd /tmp
/opt/ancestral/bin/python3 -c 'import ancestral_service.api.server, ancestral_service.worker, ancestral.loader'
for form in wav flac mp3 opus aac; do /opt/ancestral/bin/ancestral say "Ready." --output "ready.$form"; done
/opt/ancestral/bin/ancestral draw 7 --output seven.png
