# shellcheck shell=sh
# For each line that comes: what each supervised daemon of this node has taken so far, for how many nanoseconds each
# thread of it has waited for a CPU, and a line with a dot alone. By words of the shell alone, so that it costs next to
# nothing; it ends with its input.
services=${1:-/etc/service}    # elsewhere for its test
echo "page $(getconf PAGESIZE 2> /dev/null || echo 4096)"
while read -r _; do
    read -r now _ < /proc/uptime
    for service in "$services"/*; do
        pid=
        { read -r pid < "$service/supervise/pid"; } 2> /dev/null
        [ -n "$pid" ] || continue
        stat=
        { read -r stat < "/proc/$pid/stat"; } 2> /dev/null
        set -- "/proc/$pid/fd/"*
        [ -z "$stat" ] || echo "${service##*/} $now $# $stat"
        waits=
        for thread in "/proc/$pid/task/"*; do
            { read -r _ wait _ < "$thread/schedstat"; } 2> /dev/null && waits="$waits ${thread##*/}:$wait"
        done
        [ -z "$waits" ] || echo "waits ${service##*/}$waits"
    done
    echo .
done
