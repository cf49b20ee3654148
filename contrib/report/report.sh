#!/bin/sh
# Reports a failure from a shell script: report.sh SERVICE IP [USER]
set -eu
exec f2bd report ${3:+"--user=$3"} -- "$1" "$2"
