#!/bin/sh
# Says where the kernel puts cores, how large the last core in each folder is, and whether a debugger is here.
echo "pattern $(cat /proc/sys/kernel/core_pattern)"
for folder in "$@"; do
    # shellcheck disable=SC2012  # the kernel names them
    core=$(ls -t "$folder"/core* 2> /dev/null | head -n 1)
    [ -z "$core" ] || echo "core $(wc -c < "$core") $core"
done
[ -z "$(command -v gdb)" ] || echo gdb
