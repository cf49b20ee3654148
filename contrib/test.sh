#!/bin/bash
# Installs what the tests need and runs them all: with real journals, firewalls, clients and databases.
set -euo pipefail
# shellcheck source=contrib/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<END
Usage: contrib/test.sh [--no-install] [-- WORD...]

Installs what is missing and runs all tests. Tests that want root or a program that is not there say
SKIPPED and why; if the variable CI is set, they fail instead.

  --no-install  install nothing; say what is missing
  --help        this text
  -- WORD...    further words for cargo test, such as the name of a test
END
}

while [ $# -gt 0 ]; do
    case $1 in
        --no-install) INSTALL= ;;
        --help | -h) usage && exit ;;
        --) shift && break ;;
        *) usage_error "unknown option $1" ;;
    esac
    shift
done

heading "Install what is missing" "Only packages that are not there; nothing of them is started."
install_packages "to build f2bd" "${BUILD_PACKAGES[@]}"
install_packages "to see it at work" "${WORLD_PACKAGES[@]}"
install_packages "for the tests" "${TEST_PACKAGES[@]}"
unpack_senders
unpack_packages samples "$SAMPLES_PACKAGE"
unpack_packages monitors "${MONITOR_PACKAGES[@]}"
unpack_packages bouncers "${BOUNCER_PACKAGES[@]}"
install_rust

heading "Test" "Journals, networks and databases of the tests are their own; this machine's are left alone."
if [ "$(id -u)" -ne 0 ]; then
    printf '   You are not root: the tests that need namespaces will say SKIPPED.\n'
fi
cd "$SOURCES"
# Half of the time they wait for other programs.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) * 3 / 2))}"
show cargo test --locked "$@"
