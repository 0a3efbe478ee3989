#!/bin/bash
# Starts a SIPp command that goes on after this script has ended, in a folder of its own:
# `log` is what run-sipp.sh says, `orders` a FIFO that takes its orders, `pid` its process; `running` is locked while
# any process of it lives.
folder=$1
runner=$2
shift 2
exec 9>"$folder/running"
flock --nonblock 9 || {
    echo "a process of $folder still runs"
    exit 1
}
rm -f "$folder/orders" "$folder/log"
mkfifo "$folder/orders"
# Open for reading and writing: so the FIFO has no end of file when a writer closes it.
setsid bash "$runner" "$@" <>"$folder/orders" >>"$folder/log" 2>/dev/null &
echo $! >"$folder/pid"
