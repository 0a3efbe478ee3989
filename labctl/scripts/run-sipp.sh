#!/bin/bash
# Runs a SIPp command, and hands out what it sends and receives as it happens.
#
# Standard output: SIPp's message log as it grows, then times(1p), its exit code, and its errors.
# Standard input takes orders, a line each: `send ADDRESS PORT BASE64` sends a datagram, `drain` has SIPp end after its
# calls, `kill` ends it at once. The end of standard input kills it too, so that no process outlives its reader.
exec 3>&1 4<&0
errors=$(mktemp)
"$@" -message_file /dev/fd/3 </dev/null >/dev/null 2>"$errors" &
process=$!

obey_orders() {
    while read -r word address port text; do
        case $word in
        # base64(1) writes a datagram in one piece, which the shell's own printf does not.
        send) base64 -d <<<"$text" >"/dev/udp/$address/$port" ;;
        drain) kill -USR1 "$process" ;;
        kill) break ;;
        esac
    done
    kill -KILL "$process"
}
obey_orders <&4 2>/dev/null &
listener=$!

wait "$process" 2>/dev/null
code=$?
kill "$listener" 2>/dev/null
times
printf '\n=== end %s\n' "$code"
cat "$errors"
rm "$errors"
