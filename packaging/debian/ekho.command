#!/bin/sh
# The socket of the service, unless another is named; of who may only look, the one for that.
if [ -z "$EKHO_SOCKET" ] && [ -d /run/ekho ]; then
  export EKHO_SOCKET=/run/ekho/ekho.sock
  if [ ! -w "$EKHO_SOCKET" ] && [ -w /run/ekho/ekho-read.sock ]; then
    EKHO_SOCKET=/run/ekho/ekho-read.sock
  fi
fi
exec /usr/lib/ekho/node_modules/node/bin/node /usr/lib/ekho/host/cli/ekho.mjs "$@"
