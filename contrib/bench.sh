#!/bin/bash
# Measures f2bd on this machine, from the journal to the kernel, and prints the figures.
set -euo pipefail
# shellcheck source=contrib/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<END
Usage: contrib/bench.sh [--no-install] [SECTION...]

Installs what is missing, builds f2bd as it is released and measures it: all sections of
tests/bench/main.rs, or only those that are named. Needs root, for namespaces of its own.

  --no-install  install nothing; say what is missing
  --help        this text
END
}

SECTIONS=()
for word in "$@"; do
    case $word in
        --no-install) INSTALL= ;;
        --help | -h) usage && exit ;;
        -*) usage_error "unknown option $word" ;;
        *) SECTIONS+=("$word") ;;
    esac
done
require_root "each section runs in network and mount namespaces of its own"

heading "Install what is missing" "Only packages that are not there; nothing of them is started."
install_packages "to build f2bd" "${BUILD_PACKAGES[@]}"
install_packages "to see it at work" "${WORLD_PACKAGES[@]}"
install_rust

heading "Measure" "The first build takes some minutes. Figures are this machine's; let it do nothing else meanwhile."
cd "$SOURCES"
show cargo bench --locked --bench bench -- "${SECTIONS[@]}"
