/** Worker of state.test.ts: replaces one row again and again, so that a torn or half-looked-up row would show. */

import { workerData } from 'node:worker_threads';
import { openAsicCore } from '../../../host/device/asic/device.ts';
import { LPM4, NONE } from '../../../host/device/asic/layout.ts';
import { row, write } from './rows.ts';

const core = openAsicCore(workerData);
const prefix = { prefix: 0x0a000000, length: 8, group: NONE };
const until = performance.now() + 400;
while (performance.now() < until) {
  for (let at = 0; at < 100; at++) {
    write(core, LPM4, row(LPM4, { ...prefix, cookie: 4, action: 2 }));
    write(core, LPM4, row(LPM4, { ...prefix, cookie: 5, action: 1 }));
  }
}
core.close();
