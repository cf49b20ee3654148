#!/bin/sh
# What the action files of a Fail2ban are known by: a line for each of DIR/*.conf, its SHA-256 and its name, of what the
# file says without comments, empty lines and blanks at line ends.
#
# Add those of a new version to src/config/fail2ban/action/known.sha256, after reading what has changed in the files that
# src/config/fail2ban/action/stock.toml speaks of:
#
#   contrib/fail2ban-hashes.sh /etc/fail2ban/action.d >new
#   sort -u -k 2,2 -k 1,1 new src/config/fail2ban/action/known.sha256 | sponge src/config/fail2ban/action/known.sha256
set -eu

for file in "${1:?which directory?}"/*.conf; do
    hash=$(sed 's/[[:space:]]*$//' "$file" | grep -v '^[[:space:]]*[#;]' | grep -v '^$' | sha256sum)
    echo "${hash%% *}  ${file##*/}"
done
