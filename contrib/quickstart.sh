#!/bin/bash
# Builds f2bd and shows its main job with real programs: an sshd, an attacker, the journal, the firewall.
#
# Everything happens in two network namespaces of its own; the firewall, the accounts and the logins of this
# machine are left alone. Ends with 0 only if the attacker was really cut off.
set -euo pipefail
# shellcheck source=contrib/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<END
Usage: contrib/quickstart.sh [--keep] [--no-install]

Installs what is missing, builds f2bd and shows on a real sshd how it bans an attacker.

  --keep        leave the namespaces, the programs and the files as they are at the end
  --no-install  install nothing; say what is missing
  --help        this text
END
}

KEEP=
for word in "$@"; do
    case $word in
        --keep) KEEP=yes ;;
        --no-install) INSTALL= ;;
        --help | -h) usage && exit ;;
        *) usage_error "unknown option $word" ;;
    esac
done
require_root "it makes network namespaces, and installs packages if any are missing"

# --- the stage -----------------------------------------------------------------------------------------

SERVER=f2bd-server-$$
ATTACKER=f2bd-attacker-$$
HOME_OF_DEMO=
MADE_RUN_SSHD=

# Addresses set aside for documentation. f2bd takes an IPv6 network of 64 bits for one host. The attacker's
# differ each time: f2bd reads the journal of the last findtime, and would ban who attacked minutes ago at once.
SERVER4=192.0.2.1 SERVER6=2001:db8::1 FRIEND4=192.0.2.8
ATTACKER4=192.0.2.$((100 + RANDOM % 150))
printf -v NETWORK6 '2001:db8:0:%x::' $((0x1000 + RANDOM))
ATTACKER6=${NETWORK6}7 SAME_NETWORK6=${NETWORK6}99

# What silence means: an answer across the cable takes milliseconds.
SILENCE=3

clean_up() {
    local result=$? name pids
    trap - EXIT INT TERM HUP
    if [ -z "$HOME_OF_DEMO" ]; then exit "$result"; fi
    if [ -n "$KEEP" ]; then
        heading "Left as it is (--keep)" \
            "ip netns exec $SERVER $F2BD --socket $HOME_OF_DEMO/control.sock status" \
            "files: $HOME_OF_DEMO" \
            "to end it: kill \$(ip netns pids $SERVER) \$(ip netns pids $ATTACKER);" \
            "           ip netns del $SERVER; ip netns del $ATTACKER; rm -r $HOME_OF_DEMO"
        exit "$result"
    fi
    if [ "$result" -ne 0 ]; then
        heading "What the programs said"
        find "$HOME_OF_DEMO" -name '*.log' -size +0 -exec tail -v -n 20 {} +
    fi
    # The shell would report each of its jobs that is killed now.
    exec 2>/dev/null
    for name in "$ATTACKER" "$SERVER"; do
        # Nobody but this script's programs can be in namespaces that it made.
        while pids=$(ip netns pids "$name" ) && [ -n "$pids" ]; do
            # shellcheck disable=SC2086 # one word for each process
            kill -KILL $pids || true
            sleep 0.05
        done
        ip netns del "$name" || true
    done
    wait || true
    rm -rf "$HOME_OF_DEMO"
    if [ -n "$MADE_RUN_SSHD" ]; then rmdir /run/sshd || true; fi
    exit "$result"
}

# wait_for WHAT SECONDS COMMAND...: until the command succeeds.
wait_for() {
    local what=$1 deadline=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || fail "waited in vain for: $what"
        sleep 0.05
    done
}

# Not `ip netns exec`: it hides the control groups, without which journald does not start.
SERVER_NET=(nsenter --net="/run/netns/$SERVER")
ATTACKER_NET=(nsenter --net="/run/netns/$ATTACKER")

on_server() { "${SERVER_NET[@]}" "$@"; }
on_attacker() { "${ATTACKER_NET[@]}" "$@"; }
f2bd() { on_server "$F2BD" --socket "$HOME_OF_DEMO/control.sock" "$@"; }

# show_f2bd WORD...: shows and runs one of f2bd's commands, without the paths of this demonstration.
show_f2bd() {
    printf '%s   $ f2bd %s%s\n' "$FAINT" "$*" "$PLAIN"
    f2bd "$@"
}

make_networks() {
    local name address
    ip netns add "$SERVER"
    ip netns add "$ATTACKER"
    ip -n "$SERVER" link add cable type veth peer name cable netns "$ATTACKER"
    for name in "$SERVER" "$ATTACKER"; do
        ip -n "$name" link set lo up
        ip -n "$name" link set cable up
    done
    ip -n "$SERVER" addr add "$SERVER4/24" dev cable
    ip -n "$SERVER" addr add "$SERVER6/32" dev cable nodad
    for address in "$ATTACKER4" "$FRIEND4"; do
        ip -n "$ATTACKER" addr add "$address/24" dev cable
    done
    for address in "$ATTACKER6" "$SAME_NETWORK6"; do
        ip -n "$ATTACKER" addr add "$address/32" dev cable nodad
    done
}

# Whether the journal of this machine takes and keeps what programs log.
machine_has_journal() {
    [ -d /run/systemd/system ] && [ -S /run/systemd/journal/dev-log ] && [ -e /dev/log ]
}

# Runs in the server's network, in a mount namespace of its own: $1 our directory, $2 the journal's mode
# ("own" or "machine"), then the program. The accounts are ours in there, and so is /run with "own".
# shellcheck disable=SC2016 # the shell of the stage expands it
STAGE='
set -e
home=$1 journal=$2
shift 2
for file in passwd shadow group; do mount --bind "$home/etc/$file" "/etc/$file"; done
if [ -e /var/log/btmp ]; then mount --bind "$home/btmp" /var/log/btmp; fi
if [ "$journal" = own ]; then
    mount -t tmpfs tmpfs /run
    mkdir -p /run/systemd/journal /run/systemd/journald.conf.d /run/log/journal
    mount --bind "$home/sockets" /run/systemd/journal
    mount --bind "$home/journal" /run/log/journal
    cp "$home/journald.conf" /run/systemd/journald.conf.d/quickstart.conf
    if ! [ -s /etc/machine-id ]; then
        touch /etc/machine-id
        mount --bind "$home/etc/machine-id" /etc/machine-id
    fi
    # /dev of this namespace only, so that syslog(3) finds the journal where it looks.
    mount -t tmpfs -o mode=755 tmpfs "$home/dev"
    for node in null zero full random urandom tty; do
        touch "$home/dev/$node"
        mount --bind "/dev/$node" "$home/dev/$node"
    done
    ln -s /proc/self/fd "$home/dev/fd"
    ln -s /run/systemd/journal/dev-log "$home/dev/log"
    mount --move "$home/dev" /dev
fi
mkdir -p -m 755 /run/sshd
exec "$@"
'
on_stage() {
    on_server unshare --mount sh -c "$STAGE" stage "$HOME_OF_DEMO" "$JOURNAL" "$@"
}

# Accounts that exist only for the demonstration's sshd: alice, with a password that somebody has stolen.
make_accounts() {
    local hash
    mkdir "$HOME_OF_DEMO/etc"
    cp -p /etc/passwd /etc/shadow /etc/group "$HOME_OF_DEMO/etc/"
    tr -d - </proc/sys/kernel/random/uuid >"$HOME_OF_DEMO/etc/machine-id"
    hash=$(perl -e 'print crypt($ARGV[0], q($6$) . $ARGV[1] . q($))' "$PASSWORD" "demo$RANDOM$RANDOM")
    sed -i '/^alice:/d' "$HOME_OF_DEMO/etc/passwd" "$HOME_OF_DEMO/etc/shadow"
    printf 'alice:x:64007:64007:quickstart:/:/bin/sh\n' >>"$HOME_OF_DEMO/etc/passwd"
    printf 'alice:%s:20000:0:99999:7:::\n' "$hash" >>"$HOME_OF_DEMO/etc/shadow"
    printf 'alice:x:64007:\n' >>"$HOME_OF_DEMO/etc/group"
    : >"$HOME_OF_DEMO/btmp"
    chmod 600 "$HOME_OF_DEMO/btmp"
}

journal_writes() {
    logger --socket "$HOME_OF_DEMO/sockets/dev-log" "the first message makes the first file" &&
        journalctl --quiet --directory "$HOME_OF_DEMO/journal" --merge --lines 1 | grep -q .
}

start_journal() {
    if machine_has_journal; then
        JOURNAL=machine
        good "the journal of this machine takes what sshd logs"
        return
    fi
    JOURNAL=own
    mkdir "$HOME_OF_DEMO/journal" "$HOME_OF_DEMO/sockets" "$HOME_OF_DEMO/dev"
    printf '[Journal]\nStorage=volatile\nRuntimeKeepFree=1M\nForwardToSyslog=no\nReadKMsg=no\nAudit=no\n' \
        >"$HOME_OF_DEMO/journald.conf"
    on_stage /lib/systemd/systemd-journald >"$HOME_OF_DEMO/journald.log" 2>&1 &
    wait_for "systemd-journald to write" 10 journal_writes
    good "no journald runs on this machine, so a real one was started here by hand"
}

start_sshd() {
    ssh-keygen -q -t ed25519 -N '' -f "$HOME_OF_DEMO/hostkey"
    # Without PAM: its modules could count the failures against real accounts.
    cat >"$HOME_OF_DEMO/sshd_config" <<END
HostKey $HOME_OF_DEMO/hostkey
PidFile none
UsePAM no
PasswordAuthentication yes
KbdInteractiveAuthentication no
AllowUsers alice
UseDNS no
END
    if [ "$JOURNAL" = machine ] && ! [ -d /run/sshd ]; then MADE_RUN_SSHD=yes; fi
    # From OpenSSH 9.8 on sshd itself keeps such clients waiting; here f2bd shall do it.
    if on_stage /usr/sbin/sshd -t -f "$HOME_OF_DEMO/sshd_config" -o PerSourcePenalties=no 2>/dev/null; then
        printf 'PerSourcePenalties no\n' >>"$HOME_OF_DEMO/sshd_config"
    fi
    on_stage /usr/sbin/sshd -D -f "$HOME_OF_DEMO/sshd_config" >"$HOME_OF_DEMO/sshd.log" 2>&1 &
    wait_for "sshd" 10 logs_in "$FRIEND4" "$SERVER4"
    good "sshd listens on $SERVER4 and $SERVER6, port 22, in a network of its own"
}

configure_f2bd() {
    {
        printf '[daemon]\ndatabase = "%s/f2bd.db"\nsocket = "%s/control.sock"\n\n' "$HOME_OF_DEMO" "$HOME_OF_DEMO"
        printf '[source.journal]\ntype = "journal"\n'
        if [ "$JOURNAL" = own ]; then printf 'directory = "%s/journal"\n' "$HOME_OF_DEMO"; fi
        printf '\n[jail.sshd]\nmaxretry = 4\nfindtime = "10m"\nbantime = "10m"\n'
    } >"$HOME_OF_DEMO/f2bd.conf"
    sed 's/^/   | /' "$HOME_OF_DEMO/f2bd.conf"
    "$F2BD" check --config "$HOME_OF_DEMO/f2bd.conf" || fail "f2bd does not like the configuration above"
}

start_f2bd() {
    # Not through a function: $! shall be the daemon itself.
    "${SERVER_NET[@]}" "$F2BD" run --config "$HOME_OF_DEMO/f2bd.conf" >>"$HOME_OF_DEMO/f2bd.log" 2>&1 &
    DAEMON=$!
    wait_for "f2bd" 10 f2bd status
    good "f2bd answers on its socket"
}

# --- the attack ----------------------------------------------------------------------------------------

PASSWORD=correct-horse-$RANDOM

SSH_OPTIONS=(-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR
    -o PubkeyAuthentication=no -o PreferredAuthentications=password -o NumberOfPasswordPrompts=1)

# ssh_from ADDRESS PASSWORD USER@HOST WORD...: a real ssh client.
ssh_from() {
    local address=$1 password=$2
    shift 2
    on_attacker sshpass -p "$password" ssh "${SSH_OPTIONS[@]}" -b "$address" "$@"
}

# guess ADDRESS USER PASSWORD HOST: one attempt, which must be refused by sshd.
guess() {
    local said
    said=$(ssh_from "$1" "$3" "$2@$4" true 2>&1) && fail "$2 got in with the password $3"
    [[ $said == *"Permission denied"* ]] || fail "sshd should have refused $2; ssh says: $said"
    printf '   %s tries %s with the password "%s": %s\n' "$1" "$2" "$3" "${said##*: }"
}

# logs_in FROM TO: whether a login with the right password succeeds.
logs_in() {
    [ "$(timeout "$SILENCE" "${ATTACKER_NET[@]}" sshpass -p "$PASSWORD" \
        ssh "${SSH_OPTIONS[@]}" -b "$1" "alice@$2" echo welcome 2>/dev/null)" = welcome ]
}

# must_time_out FROM TO: shows that a new connection with the right password gets no answer at all.
must_time_out() {
    local result=0
    printf '%s   $ timeout %s ssh -b %s alice@%s%s\n' "$FAINT" "$SILENCE" "$1" "$2" "$PLAIN"
    timeout "$SILENCE" "${ATTACKER_NET[@]}" sshpass -p "$PASSWORD" \
        ssh "${SSH_OPTIONS[@]}" -b "$1" "alice@$2" echo welcome || result=$?
    [ "$result" -eq 124 ] || fail "the attacker was not cut off: ssh ended with $result"
    good "no answer within $SILENCE s (timeout ended it: 124), although the password is right"
}

in_the_kernel() {
    on_server nft list table inet f2bd | grep -F "$1"
}

# open_session NAME ADDRESS: a login that stays open and echoes; descriptors in the variables NAME_TO, NAME_FROM.
open_session() {
    local name=$1 address=$2 to from
    mkfifo "$HOME_OF_DEMO/$name.to" "$HOME_OF_DEMO/$name.from"
    ssh_from "$address" "$PASSWORD" "alice@$SERVER4" cat \
        <"$HOME_OF_DEMO/$name.to" >"$HOME_OF_DEMO/$name.from" 2>"$HOME_OF_DEMO/$name.log" &
    exec {to}>"$HOME_OF_DEMO/$name.to" {from}<"$HOME_OF_DEMO/$name.from"
    printf -v "${name}_TO" %s "$to"
    printf -v "${name}_FROM" %s "$from"
}

# answers NAME: whether a word sent through an open session comes back in time.
answers() {
    local to=${1}_TO from=${1}_FROM word="hello-$RANDOM" line=
    # Whoever wrote to a client that has ended would be ended, too.
    (trap '' PIPE && printf '%s\n' "$word" >&"${!to}") 2>/dev/null || return 1
    while read -r -t "$SILENCE" line <&"${!from}"; do
        if [ "$line" = "$word" ]; then return 0; fi
    done
    return 1
}

# --- the play ------------------------------------------------------------------------------------------

heading "1. Install what is missing" "Only packages that are not there; nothing of them is started."
install_packages "to build f2bd" "${BUILD_PACKAGES[@]}"
install_packages "to show it at work" "${WORLD_PACKAGES[@]}"
install_rust

heading "2. Build f2bd" "The release build takes some minutes the first time; cargo shows how far it is."
build_release
good "$("$F2BD" --version)"

heading "3. Make two networks with a cable between them" \
    "A server and an attacker in network namespaces: the kernel's real firewall, but not this machine's rules."
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
HOME_OF_DEMO=$(mktemp -d /tmp/f2bd-quickstart.XXXXXX)
# The unprivileged half of sshd and alice look for files in there.
chmod 711 "$HOME_OF_DEMO"
unshare --mount --net true 2>/dev/null ||
    fail "this machine allows no namespaces; a container needs the capability CAP_SYS_ADMIN (docker: --privileged)"
make_networks
good "server $SERVER4, $SERVER6; attacker $ATTACKER4, $ATTACKER6; a friend $FRIEND4"

heading "4. Start a journal and an sshd" \
    "sshd logs through syslog(3) into the journal, as on every Debian. Its account alice exists only here."
make_accounts
start_journal
start_sshd

heading "5. Start f2bd" "It runs beside sshd and reads the journal. This is its whole configuration:"
configure_f2bd
start_f2bd

heading "6. Two sessions are open" \
    "The attacker has stolen alice's password and is logged in already; so is the friend, from another address."
open_session THIEF "$ATTACKER4"
open_session FRIEND "$FRIEND4"
answers THIEF || fail "the attacker's session does not answer, before any ban"
answers FRIEND || fail "the friend's session does not answer, before any ban"
good "what they type comes back"

heading "7. Attack" "The attacker goes on and guesses passwords, with an ordinary ssh client."
guess "$ATTACKER4" admin 123456 "$SERVER4"
guess "$ATTACKER4" alice password "$SERVER4"
guess "$ATTACKER4" alice qwerty "$SERVER4"
if in_the_kernel "$ATTACKER4" >/dev/null; then fail "banned before the fourth failure"; fi
good "three failures, no ban yet: maxretry is 4"
guess "$ATTACKER4" alice letmein "$SERVER4"
wait_for "the ban in the kernel" 5 in_the_kernel "$ATTACKER4"
good "the fourth failure: nftables holds $ATTACKER4"

heading "8. Is the attacker really cut off?" \
    "The open session must fall silent, new connections must time out, and nobody else may notice."
answers THIEF && fail "the attacker's open session still answers"
good "the attacker's open session: what is typed gets no answer within $SILENCE s"
must_time_out "$ATTACKER4" "$SERVER4"
answers FRIEND || fail "the friend's session has died"
logs_in "$FRIEND4" "$SERVER4" || fail "the friend cannot log in any more"
good "the friend's session answers, and new logins of the friend succeed"

heading "9. The same over IPv6" "Hosts change their address within a /64 at will, so f2bd bans the /64."
for word in 123456 password qwerty letmein; do
    guess "$ATTACKER6" root "$word" "$SERVER6"
done
wait_for "the ban in the kernel" 5 in_the_kernel "$NETWORK6"
printf '   The attacker takes another address of the same /64:\n'
must_time_out "$SAME_NETWORK6" "$SERVER6"

heading "10. What is going on?" "f2bd status: the jails and what they have done."
show_f2bd status

heading "11. Why is this address banned?" "f2bd explain: the rule, and the very log lines."
show_f2bd explain "$ATTACKER4"

heading "12. What does the kernel hold?" \
    "A table of its own; other tables are left alone. The kernel ends each ban by itself (expires)."
printf '%s   $ nft list table inet f2bd%s\n' "$FAINT" "$PLAIN"
on_server nft list table inet f2bd

heading "13. What does the database know?" "It is an ordinary SQLite file, and its views are documented in f2bd-store(5)."
show sqlite3 -header -column "$HOME_OF_DEMO/f2bd.db" \
    'SELECT jail, ip, start, until, failures, offence FROM ban_history'
show sqlite3 -header -column "$HOME_OF_DEMO/f2bd.db" "SELECT time, user, line FROM ban_lines WHERE ip = '$ATTACKER4'"

heading "14. Kill f2bd with kill -9" "The kernel keeps the bans meanwhile; f2bd finds them in its database when it starts again."
kill -KILL "$DAEMON"
wait "$DAEMON" 2>/dev/null || true
must_time_out "$ATTACKER4" "$SERVER4"
start_f2bd
in_the_kernel "$ATTACKER4" >/dev/null || fail "the ban is gone after the restart"
must_time_out "$ATTACKER4" "$SERVER4"
show_f2bd bans

heading "Done: the attacker was cut off" \
    "What next?" \
    "  contrib/test.sh                  run all tests" \
    "  contrib/install.sh               install f2bd on this machine (README.md tells the rest)" \
    "  systemctl enable --now f2bd      and let it guard this machine's sshd"
