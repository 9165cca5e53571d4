#!/bin/sh
# Runs the commands that the machine sends to a lab guest.
port() {
  for name in /sys/class/virtio-ports/*/name; do
    [ "$(cat "$name")" = "$1" ] && basename "$(dirname "$name")" && return
  done
}
out=/dev/$(port stdout)
err=/dev/$(port stderr)
exec 3<>"/dev/$(port control)"
echo ready >&3
# Each line names a script. The mark after its output tells the machine that all of it has arrived.
while read -r id mark <&3; do
  exec 4>"$out" 5>"$err"
  setsid bash "/run/lab/$id.sh" </dev/null >&4 2>&5 3>&- 4>&- 5>&-
  code=$?
  printf '%s' "$mark" >&4
  printf '%s' "$mark" >&5
  exec 4>&- 5>&-
  echo "done $id $code" >&3
done
