#!/bin/bash
# Runs a command that captures packets until a line `end` or the end of standard input; tells the time at other lines.
{
    while read -r order && [ "$order" != end ]; do
        echo "clock $EPOCHREALTIME" >&2
    done
    kill -INT $$
} <&0 &
exec "$@" < /dev/null
