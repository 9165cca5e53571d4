# SPDX-License-Identifier: Apache-2.0
"""pyroute2's NDB as a mirror: prints "listed" when it has read the kernel, answers each line with the rows of the table it names,
those by the gateway only if it names one."""

import sys

from pyroute2 import NDB

with NDB(log='off') as ndb:
    print('listed', flush=True)
    for line in sys.stdin:
        view, *gateway = line.split()
        rows = getattr(ndb, view)
        if gateway:
            print('rows', sum(route['gateway'] == gateway[0] for route in rows.dump()), flush=True)
        else:
            print('rows', rows.count(), flush=True)
