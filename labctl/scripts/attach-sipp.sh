#!/bin/bash
# Follows what keep-sipp.sh started in a folder, from its first message on, as if run-sipp.sh ran here. Lines of
# standard input are orders for it; the end of standard input leaves it running.
folder=$1
exec 4<&0
# Polling: not every storage driver tells of changes to a file.
tail ---disable-inotify --sleep-interval=0.05 --bytes=+1 --follow --pid="$(cat "$folder/pid")" "$folder/log" &
follower=$!

pass_orders() {
    exec 5<>"$folder/orders"
    while read -r order; do
        printf '%s\n' "$order" >&5
    done
    kill "$follower"
}
pass_orders <&4 2>/dev/null &
passer=$!

wait "$follower" 2>/dev/null
kill "$passer" 2>/dev/null
