# What the scripts beside this one share: words on the terminal, missing packages, a Rust that is new enough.
# Sourced, never run:  . "$(dirname "$0")/lib.sh"
# shellcheck shell=bash disable=SC2034 # the variables are read by those who source this

# The directory of the source tree; scripts work there.
SOURCES=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# A plain `su` leaves out the directories of nft, ip and sshd.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Set to nothing by --no-install.
INSTALL=yes

# What a build needs. libsystemd is the reader of the journal; SQLite is compiled from the sources of a crate.
BUILD_PACKAGES=(build-essential pkg-config libsystemd-dev ca-certificates curl)

# What an f2bd that really bans needs around it: the kernel's firewall, networks of our own, a journal, an
# sshd to attack, a client that guesses passwords, a shell for the database.
WORLD_PACKAGES=(nftables iproute2 util-linux procps systemd openssh-server openssh-client sshpass sqlite3)

# What the tests look at besides: the manuals, the completions, time zones, names of protocols in rulesets; a mail
# server that takes letters; who reads ban lists; web servers, which refuse banned clients;
# firewalls, which the tests run in networks of their own; who forgets connections; another clock for one program.
TEST_PACKAGES=(logrotate xz-utils zstd python3 python3-aiosmtpd php-cli mandoc zsh fish tzdata netbase ipset haproxy
    nginx apache2-bin caddy socat firewalld ufw tcpd iptables conntrack libfaketime)

# Those who send syslog, with what they need to do so over TLS. Two of them cannot be installed on one machine, and
# what it logs with is its own affair; so they are unpacked for the tests and run from there.
SENDER_PACKAGES=("rsyslog rsyslog-openssl" syslog-ng-core)

# Who ships logs of very many services, beside a program that stays packed: what it is to count in them is written there.
SAMPLES_PACKAGE=fail2ban

# Those who ask Fail2ban how it is doing, and print that for a monitor.
MONITOR_PACKAGES=(munin-plugins-core munin-common)

# Those who ask the ban list what to do. Installed, they would ask for another server and start as services.
BOUNCER_PACKAGES=(crowdsec-firewall-bouncer crowdsec-custom-bouncer)

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    BOLD=$'\e[1m' GREEN=$'\e[32m' RED=$'\e[31m' FAINT=$'\e[2m' PLAIN=$'\e[0m'
else
    BOLD='' GREEN='' RED='' FAINT='' PLAIN=''
fi

# A heading: what comes now. Further arguments are lines that say why.
heading() {
    printf '\n%s== %s%s\n' "$BOLD" "$1" "$PLAIN"
    shift
    if [ $# -gt 0 ]; then printf '   %s\n' "$@"; fi
}

# Something that was found to be as it should.
good() {
    printf '%s   ok: %s%s\n' "$GREEN" "$*" "$PLAIN"
}

# Ends the script with a reason.
fail() {
    printf '%s%s: %s%s\n' "$RED" "$(basename "$0")" "$*" "$PLAIN" >&2
    exit 1
}

# Shows a command, then runs it.
show() {
    printf '%s   $ %s%s\n' "$FAINT" "$*" "$PLAIN"
    "$@"
}

# A mistake in the words of the command line.
usage_error() {
    printf '%s: %s; try --help\n' "$(basename "$0")" "$1" >&2
    exit 64
}

require_root() {
    [ "$(id -u)" -eq 0 ] || fail "needs root: $1"
}

# Prints those of the packages that are not installed.
missing_packages() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            printf '%s\n' "$package"
    done
}

# install_packages WHY PACKAGE...: installs those that are missing, and says which.
install_packages() {
    local why=$1 missing
    shift
    if ! command -v dpkg-query >/dev/null; then
        [ -z "$INSTALL" ] ||
            fail "neither Debian nor Ubuntu; install the counterparts of these and use --no-install: $*"
        printf '   Not looked for, since this is neither Debian nor Ubuntu, %s: %s\n' "$why" "$*"
        return
    fi
    mapfile -t missing < <(missing_packages "$@")
    if [ ${#missing[@]} -eq 0 ]; then
        good "installed already, $why: $*"
        return
    fi
    [ -n "$INSTALL" ] || fail "missing, $why: ${missing[*]}"
    require_root "apt-get must install, $why: ${missing[*]}"
    printf '   apt-get installs, %s: %s\n' "$why" "${missing[*]}"
    apt-get update -qq
    quietly_install "${missing[@]}"
}

# Installs packages without letting them start a service: a new sshd must not open a door of this machine.
quietly_install() (
    policy=/usr/sbin/policy-rc.d
    if ! [ -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$@" |
        sed -un 's/^Setting up \([^ ]*\).*/   \1/p' ||
        fail "apt-get could not install: $*"
    for package in "$@"; do
        if [ "$package" = openssh-server ]; then
            printf '   The new sshd of this machine stays off; "systemctl enable --now ssh" turns it on.\n'
            systemctl --quiet disable ssh.service 2>/dev/null || true
        fi
        # The tests start their own; this machine has no work for one.
        case $package in
            haproxy | nginx | caddy | firewalld | ufw) systemctl --quiet disable "$package.service" 2>/dev/null || true ;;
        esac
    done
)

# Unpacks the senders of syslog, and those of their libraries that are missing, into target/senders. One that is
# installed with all it needs is used as it is.
unpack_senders() {
    local home=${CARGO_TARGET_DIR:-$SOURCES/target}/senders packages archive
    if ! command -v dpkg-deb >/dev/null || [ -z "$INSTALL" ]; then
        printf '   Not fetched, for the tests: %s\n' "${SENDER_PACKAGES[*]}"
        return
    fi
    if [ -e "$home/complete" ]; then
        good "unpacked already, for the tests: ${SENDER_PACKAGES[*]}"
        return
    fi
    require_root "apt-get must fetch, for the tests: ${SENDER_PACKAGES[*]}"
    printf '   apt-get fetches, for the tests: %s\n' "${SENDER_PACKAGES[*]}"
    rm -rf "$home"
    mkdir -p "$home/archives/partial"
    apt-get update -qq
    for packages in "${SENDER_PACKAGES[@]}"; do
        # What belongs together is one word of the list.
        # shellcheck disable=SC2086
        apt-get install --download-only -y -qq --no-install-recommends -o APT::Sandbox::User=root \
            -o Dir::Cache::archives="$home/archives" $packages >/dev/null || fail "apt-get could not fetch: $packages"
    done
    for archive in "$home"/archives/*.deb; do
        if [ -e "$archive" ]; then dpkg-deb -x "$archive" "$home"; fi
    done
    touch "$home/complete"
}

# unpack_packages NAME PACKAGE...: unpacks packages into target/NAME, without what else they need.
unpack_packages() {
    local home=${CARGO_TARGET_DIR:-$SOURCES/target}/$1 archive
    shift
    if ! command -v dpkg-deb >/dev/null || [ -z "$INSTALL" ]; then
        printf '   Not fetched, for the tests: %s\n' "$*"
        return
    fi
    if [ -e "$home/complete" ]; then
        good "unpacked already, for the tests: $*"
        return
    fi
    require_root "apt-get must fetch, for the tests: $*"
    printf '   apt-get fetches, for the tests: %s\n' "$*"
    rm -rf "$home"
    mkdir -p "$home"
    apt-get update -qq
    (cd "$home" && apt-get download -qq -o APT::Sandbox::User=root "$@") || fail "apt-get could not fetch: $*"
    for archive in "$home"/*.deb; do
        dpkg-deb -x "$archive" "$home"
    done
    touch "$home/complete"
}

# The oldest Rust that f2bd is written for, from its one place.
oldest_rust() {
    sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$SOURCES/Cargo.toml"
}

# Whether `cargo` is there and new enough.
rust_is_new_enough() {
    local oldest found
    oldest=$(oldest_rust)
    found=$(cd "$SOURCES" && cargo --version 2>/dev/null | cut -d ' ' -f 2) || return 1
    [ "$(printf '%s\n%s\n' "$oldest" "$found" | sort -V | head -n 1)" = "$oldest" ]
}

# Puts a Rust that is new enough into PATH; installs one for this user only if there is none.
install_rust() {
    PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    if rust_is_new_enough; then
        good "$(cd "$SOURCES" && cargo --version)"
        return
    fi
    [ -n "$INSTALL" ] || fail "no cargo $(oldest_rust) or newer in PATH"
    if command -v rustup >/dev/null; then
        printf '   cargo is older than %s: rustup fetches the stable toolchain, your default stays what it is.\n' \
            "$(oldest_rust)"
        rustup toolchain install stable --profile minimal --no-self-update
    else
        printf '   No cargo %s or newer: rustup from https://sh.rustup.rs installs the minimal profile\n' \
            "$(oldest_rust)"
        printf '   into %s and %s; your shell profiles are left alone.\n' \
            "${CARGO_HOME:-$HOME/.cargo}" "${RUSTUP_HOME:-$HOME/.rustup}"
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
            sh -s -- -y --profile minimal --default-toolchain stable --no-modify-path
    fi
    export RUSTUP_TOOLCHAIN=stable
    rust_is_new_enough || fail "there is still no cargo $(oldest_rust) or newer"
    good "$(cargo --version)"
}

# install_rust_component NAME COMMAND: one of rustup's parts, if its command is missing.
install_rust_component() {
    if (cd "$SOURCES" && $2 --version >/dev/null 2>&1); then
        return
    fi
    [ -n "$INSTALL" ] || fail "missing: $2"
    printf '   rustup adds %s.\n' "$1"
    (cd "$SOURCES" && rustup component add "$1")
}

# Builds the release binary and sets F2BD to its path.
build_release() {
    (cd "$SOURCES" && cargo build --release --locked)
    F2BD=${CARGO_TARGET_DIR:-$SOURCES/target}/release/f2bd
    [ -x "$F2BD" ] || fail "cargo has not made $F2BD"
    readonly F2BD
}
