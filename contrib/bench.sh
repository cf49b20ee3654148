#!/bin/bash
# Measures f2bd on this machine, from the journal to the kernel and against others, and prints the figures.
set -euo pipefail
# shellcheck source=contrib/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<END
Usage: contrib/bench.sh [--no-install] [SECTION...]

Installs what is missing, builds f2bd as it is released and measures it: all sections of
tests/bench/main.rs, or only those that are named. Needs root, for namespaces of its own.

  in_hand latency burst restore idle    from a record to the kernel, many bans, rest
  firewalls                             nftables and ipset, beside their own programs
  files syslog                          log files and syslog messages in their flow
  matching                              old logs, looked through by f2bd and by others; some 15
                                        minutes and 1 GB in the directory for temporary files
  tree                                  Fail2ban's own filters, followed by f2bd and by Fail2ban

  --no-install  install nothing; say what is missing
  --help        this text

Others are measured if they are installed, and never installed from here, since their packages
start daemons that change the firewall:
  apt-get install fail2ban sshguard ripgrep; cargo install fail2ban-rs
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
install_packages "to see it at work" "${WORLD_PACKAGES[@]}" ipset iptables python3
unpack_packages samples "$SAMPLES_PACKAGE"
install_rust

heading "Measure" "The first build takes some minutes. Figures are this machine's; let it do nothing else meanwhile."
cd "$SOURCES"
show cargo bench --locked --bench bench -- "${SECTIONS[@]}"
