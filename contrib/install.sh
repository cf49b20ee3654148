#!/bin/bash
# Builds f2bd and installs it, or takes it away again. No make; nothing is started.
set -euo pipefail
# shellcheck source=contrib/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<END
Usage: contrib/install.sh [--no-install] [--fail2ban-names] [--uninstall]

Builds f2bd and installs it with its filters, actions, manuals, completions, service unit and account.
An /etc/f2bd/f2bd.conf that is there is never touched.

  --no-install      install no Debian packages and no Rust; say what is missing
  --fail2ban-names  let fail2ban-client, fail2ban-server and fail2ban-regex be f2bd too, unless Fail2ban is installed
  --uninstall       remove it again; the configuration and the database stay
  --help            this text

Environment:
  PREFIX        where it goes, /usr if not set
  DESTDIR       a directory that stands for /, to make a package; no account is made, nothing reloaded
END
}

UNINSTALL=
FAIL2BAN_NAMES=
for word in "$@"; do
    case $word in
        --no-install) INSTALL= ;;
        --fail2ban-names) FAIL2BAN_NAMES=yes ;;
        --uninstall) UNINSTALL=yes ;;
        --help | -h) usage && exit ;;
        *) usage_error "unknown option $word" ;;
    esac
done

PREFIX=${PREFIX:-/usr}
DESTDIR=${DESTDIR:-}
SHARE=$PREFIX/share
UNIT=$PREFIX/lib/systemd/system/f2bd.service
ACCOUNT=$PREFIX/lib/sysusers.d/f2bd.conf
BASH_COMPLETIONS=$SHARE/bash-completion/completions
FISH_COMPLETIONS=$SHARE/fish/vendor_completions.d
# Debian's zsh looks for what its packages bring in a directory of its own.
if [ "$PREFIX" = /usr ] && [ -e /etc/debian_version ]; then
    ZSH_COMPLETIONS=$SHARE/zsh/vendor-completions
else
    ZSH_COMPLETIONS=$SHARE/zsh/site-functions
fi
# The names of Fail2ban's programs under which f2bd answers as they do.
FAIL2BAN_TOOLS=(fail2ban-client fail2ban-server fail2ban-regex)

# The machine that runs this is the one that f2bd is for.
installing_here() {
    [ -z "$DESTDIR" ]
}

# Whether systemd runs this machine.
systemd_runs() {
    [ -d /run/systemd/system ]
}

# put MODE FILE DESTINATION
put() {
    install -D -m "$1" "$2" "$DESTDIR$3"
    printf '   %s\n' "$DESTDIR$3"
}

# put_output DESTINATION COMMAND...: installs what a command prints.
put_output() {
    local destination=$1
    shift
    mkdir -p "$(dirname "$DESTDIR$destination")"
    "$@" >"$DESTDIR$destination"
    chmod 644 "$DESTDIR$destination"
    printf '   %s\n' "$DESTDIR$destination"
}

# Installs what shells complete behind a name of f2bd.
put_completions() {
    put_output "$BASH_COMPLETIONS/$1" "$F2BD" completions bash "$1"
    put_output "$ZSH_COMPLETIONS/_$1" "$F2BD" completions zsh "$1"
    put_output "$FISH_COMPLETIONS/$1.fish" "$F2BD" completions fish "$1"
}

remove_completions() {
    rm -f "$DESTDIR$BASH_COMPLETIONS/$1" "$DESTDIR$ZSH_COMPLETIONS/_$1" "$DESTDIR$FISH_COMPLETIONS/$1.fish"
}

# Makes links of these names, over nothing but links to f2bd.
link_fail2ban_names() {
    local name link
    for name in "${FAIL2BAN_TOOLS[@]}"; do
        link=$DESTDIR$PREFIX/bin/$name
        if [ -e "$link" ] && [ "$(readlink "$link")" != f2bd ]; then
            fail "$link is there and is not f2bd: remove Fail2ban first, or leave out --fail2ban-names"
        fi
    done
    for name in "${FAIL2BAN_TOOLS[@]}"; do
        link=$DESTDIR$PREFIX/bin/$name
        ln -sf f2bd "$link"
        printf '   %s\n' "$link"
        put_completions "$name"
    done
}

uninstall() {
    local page name link
    if installing_here && systemd_runs; then
        systemctl disable --quiet --now f2bd.service 2>/dev/null || true
    fi
    for page in man/*; do
        rm -f "$DESTDIR$SHARE/man/man${page##*.}/${page#man/}"
    done
    rm -f "$DESTDIR$PREFIX/bin/f2bd" "$DESTDIR$UNIT" "$DESTDIR$ACCOUNT"
    remove_completions f2bd
    rm -rf "$DESTDIR$SHARE/f2bd"
    for name in "${FAIL2BAN_TOOLS[@]}"; do
        link=$DESTDIR$PREFIX/bin/$name
        if [ "$(readlink "$link")" = f2bd ]; then
            rm -f "$link"
            remove_completions "$name"
        fi
    done
    if installing_here && systemd_runs; then systemctl daemon-reload; fi
    heading "f2bd is removed" \
        "Kept: $DESTDIR/etc/f2bd, $DESTDIR/var/lib/f2bd and the account f2bd." \
        "The firewall's table ends its bans by itself; at once: nft delete table inet f2bd"
}

install_all() {
    local file
    heading "Build" "The release build takes some minutes the first time."
    install_packages "to build f2bd" "${BUILD_PACKAGES[@]}"
    if installing_here; then install_packages "for f2bd to ban with" nftables; fi
    install_rust
    build_release

    heading "Install"
    put 755 "$F2BD" "$PREFIX/bin/f2bd"
    if [ -n "$FAIL2BAN_NAMES" ]; then link_fail2ban_names; fi
    for file in filters/*.toml actions/*.toml; do
        put 644 "$file" "$SHARE/f2bd/$file"
    done
    for file in man/*; do
        put 644 "$file" "$SHARE/man/man${file##*.}/${file#man/}"
    done
    for file in contrib/report/*; do
        if [ -x "$file" ]; then put 755 "$file" "$SHARE/f2bd/${file#contrib/}"; else put 644 "$file" "$SHARE/f2bd/${file#contrib/}"; fi
    done
    put_completions f2bd
    put_output "$UNIT" sed "s|/usr/bin/f2bd|$PREFIX/bin/f2bd|" contrib/systemd/f2bd.service
    put_output "$SHARE/f2bd/fail2ban-tree.conf" sed "s|/usr/bin/f2bd|$PREFIX/bin/f2bd|" contrib/systemd/fail2ban-tree.conf
    put 644 contrib/systemd/f2bd.sysusers.conf "$ACCOUNT"
    if [ -e "$DESTDIR/etc/f2bd/f2bd.conf" ]; then
        printf '   %s is there and stays as it is\n' "$DESTDIR/etc/f2bd/f2bd.conf"
    else
        put 644 contrib/f2bd.conf /etc/f2bd/f2bd.conf
    fi
    installing_here || return 0

    if command -v systemd-sysusers >/dev/null; then systemd-sysusers "$ACCOUNT"; fi
    if systemd_runs; then systemctl daemon-reload; fi
    heading "f2bd is installed" \
        "Read /etc/f2bd/f2bd.conf, then:" \
        "  f2bd check" \
        "  systemctl enable --now f2bd      after an upgrade: systemctl restart f2bd" \
        "  f2bd status"
}

cd "$SOURCES"
if [ -z "$DESTDIR" ]; then require_root "it writes below $PREFIX and /etc"; fi
umask 022
if [ -n "$UNINSTALL" ]; then uninstall; else install_all; fi
