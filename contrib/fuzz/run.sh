#!/bin/sh
# Feeds every fuzz target, or those that are named, for some minutes each; it stops at the first finding.
#
#   contrib/fuzz/run.sh [MINUTES [TARGET...]]
#
# It takes a nightly toolchain and cargo-fuzz (cargo install cargo-fuzz --version 0.13.2). What was learned stays in
# corpus/, what broke a target in artifacts/.
set -eu
cd "$(dirname "$0")"

minutes=${1:-10}
if [ $# -gt 0 ]; then
    shift
fi
if [ $# -eq 0 ]; then
    # One word each.
    # shellcheck disable=SC2046
    set -- $(cargo +nightly fuzz list --fuzz-dir .)
fi
for target in "$@"; do
    echo "$target, $minutes minutes"
    cargo +nightly fuzz run --fuzz-dir . "$target" -- \
        -max_total_time=$((minutes * 60)) -timeout=10 -rss_limit_mb=1024 -print_final_stats=1
done
