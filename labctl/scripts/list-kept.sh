#!/bin/bash
# Lists what keep-sipp.sh started below a folder, a line each: `on` or `ended`, the size of its log in bytes, and the
# text of its file `agent`.
for folder in "$1"/*/; do
    [ -e "$folder/log" ] || continue
    state=on
    if flock --nonblock "$folder/running" true; then
        state=ended
    fi
    printf '%s %s %s\n' "$state" "$(stat --format=%s "$folder/log")" "$(cat "$folder/agent")"
done
