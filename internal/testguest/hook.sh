#!/bin/sh
# The agent's hook. /run/hook-delay is how long a freeze takes in it, /run/hook-fails lets a freeze fail; every call is
# counted in /run/hook-calls.
echo "$1" >>/run/hook-calls
[ "$1" = freeze ] || exit 0
[ ! -e /run/hook-delay ] || sleep "$(cat /run/hook-delay)"
[ ! -e /run/hook-fails ] || exit 3
