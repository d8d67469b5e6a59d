#!/bin/bash
# Asks every Kafka server of this container to stop.
set -o nounset

stopped=''
for process in /proc/[0-9]*; do
  if tr '\0' '\n' <"$process/cmdline" 2>/dev/null | grep -qx kafka.Kafka; then
    kill -TERM "${process#/proc/}" && stopped=yes
  fi
done
if [[ -z $stopped ]]; then
  echo "No kafka server to stop" >&2
  exit 1
fi
