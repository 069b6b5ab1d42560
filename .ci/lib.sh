# shellcheck shell=bash
# Shared by the scripts beside it: `source "$(dirname "$0")/lib.sh"`.
# Goes to the root of the tree, so that every script runs from anywhere.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Says what is wrong and how to mend it, and ends the script.
fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Shows a command, then runs it.
step() {
    printf '+ %s\n' "$*" >&2
    "$@"
}

# need COMMAND PACKAGE: installs a Debian package if its command is missing.
need() {
    local command=$1 package=$2
    command -v "$command" >/dev/null && return
    command -v apt-get >/dev/null || fail "$command is missing: install it"
    local sudo=()
    if [ "$(id -u)" -ne 0 ]; then
        sudo=(sudo -n)
    fi
    export DEBIAN_FRONTEND=noninteractive
    local install=("${sudo[@]}" apt-get install -y -qq --no-install-recommends "$package")
    # The lists may be missing or old: then they are fetched, and it is tried once more.
    step "${install[@]}" >/dev/null 2>&1 && return
    { step "${sudo[@]}" apt-get update -qq && step "${install[@]}" >/dev/null; } ||
        fail "$command is missing and could not be installed: run apt-get install $package"
}

# component COMMAND NAME: a part of the toolchain that rustup's smallest profile leaves out.
component() {
    cargo "$1" --version >/dev/null 2>&1 ||
        fail "cargo $1 is missing: run rustup component add $2"
}

# The name of an installed nightly toolchain; fails without one. Asks nothing of the network.
nightly() {
    rustup toolchain list 2>/dev/null | grep -m 1 -o '^nightly[^ ]*'
}
