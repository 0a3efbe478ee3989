#!/bin/bash
# Runs a command that captures packets until a line `end` or the end of standard input; tells the time at other lines.
# OWN_MAC in its words is the hardware address of this network's eth0. While that is down nothing is sent by it, and
# nothing can be captured: so it has begun then, and the command is run when it is up.
{
    while read -r order && [ "$order" != end ]; do
        echo "clock $EPOCHREALTIME" >&2
    done
    kill -INT $$
} <&0 &
own=/sys/class/net/eth0
if [[ "$*" == *OWN_MAC* ]] && ! cat $own/carrier > /dev/null 2>&1; then
    echo "File: none, eth0 is down" >&2
    until cat $own/carrier > /dev/null 2>&1; do # polling: nothing here tells of a change of a device
        [ -e $own ] || exit 1
        sleep 0.05
    done
fi
exec "${@//OWN_MAC/$(cat $own/address 2> /dev/null)}" < /dev/null
