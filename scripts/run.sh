#!/bin/sh
# Runs a script on the first Node of PATH that runs at all. npm puts the bundled one first, and that one cannot say
# itself which library it lacks.
IFS=:
for folder in $PATH; do
  if "$folder/node" --version >/dev/null 2>&1; then
    unset IFS
    exec "$folder/node" "$@"
  fi
done
echo 'No Node on PATH runs here. The one that comes in by npm needs libatomic.so.1 (Debian: apt install libatomic1).' >&2
exit 127
