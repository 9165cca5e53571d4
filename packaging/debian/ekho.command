#!/bin/sh
# The socket of the service, unless another is named.
if [ -z "$EKHO_SOCKET" ] && [ -d /run/ekho ]; then
  export EKHO_SOCKET=/run/ekho/ekho.sock
fi
exec /usr/lib/ekho/node_modules/node/bin/node /usr/lib/ekho/host/cli/ekho.mjs "$@"
