#!/bin/sh
# Runs a command that captures packets, and ends it with the end of standard input.
"$@" 2>&1 </dev/null &
capture=$!
read -r _
kill "$capture"
