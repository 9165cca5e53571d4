/** Belongs to the bench libbpf: a thread that runs the emitting program, a thousand records each time. */

import { parentPort, workerData } from 'node:worker_threads';
import { addressOf } from '../../bpf/libbpf-ts/src/memory.ts';
import { native } from '../../bpf/libbpf-ts/src/native.ts';

const { fd, runs } = workerData as { fd: number; runs: number };
const lib = native();
// struct bpf_test_run_opts and the program's arguments behind it, in one buffer of which the address is known.
const memory = new ArrayBuffer(88);
const view = new DataView(memory);
view.setBigUint64(0, 80n, true);
view.setBigUint64(32, BigInt(addressOf(memory)) + 80n, true);
view.setUint32(48, 8, true);
view.setUint32(80, 1000, true);
parentPort!.postMessage(process.hrtime.bigint());
for (let run = 0; run < runs; run++) {
  if ((lib.bpf_prog_test_run_opts(fd, view) as number) !== 0) throw new Error('the program cannot run');
}
