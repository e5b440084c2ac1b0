#!/usr/bin/env bash
# Makes sure that what keyviz is built and tested with is there.
# As root on Debian it installs what is missing; otherwise it says exactly what to install.
set -euo pipefail

command -v cargo >/dev/null || {
    echo "setup: cargo is missing; install Rust (https://rustup.rs), at least $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)" >&2
    exit 1
}

missing=()
command -v c++ >/dev/null || missing+=(g++)
command -v clang >/dev/null || missing+=(clang)
# RocksDB's bindings are generated with libclang.
compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || compgen -G '/usr/lib/*/libclang*.so*' >/dev/null ||
    missing+=(libclang-dev)
# The demo and the tests drive the reference store with stock clients.
command -v redis-benchmark >/dev/null || missing+=(redis-tools)
# Metrics, alert rules and the dashboard are put to a real Prometheus.
command -v promtool >/dev/null || missing+=(prometheus)
# The page is built and tested with Node, and looked at in a real browser.
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
command -v chromium >/dev/null || missing+=(chromium)

node_is_recent() {
    node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'
}
if [ ${#missing[@]} -eq 0 ]; then
    node_is_recent && exit 0
    echo "setup: node $(node --version) is too old to build the page; install at least 20.19 (https://nodejs.org)" >&2
    exit 1
fi

if [ "$(id -u)" -ne 0 ]; then
    echo "setup: missing Debian packages: ${missing[*]}" >&2
    echo "setup: as root: apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
command -v apt-get >/dev/null || {
    echo "setup: missing: ${missing[*]} (Debian package names), and there is no apt-get to install them with" >&2
    exit 1
}
echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 || {
    cat "$log" >&2
    echo "setup: apt-get could not install ${missing[*]}" >&2
    exit 1
}
