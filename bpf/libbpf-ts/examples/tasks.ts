/** `node examples/tasks.ts tasks.bpf.o`: reports the processes this one starts, three of them. */

import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { BpfObject, probe } from '../src/index.ts';

const answer = probe('tp_btf');
console.log('tp_btf:', answer.status);

using object = BpfObject.open(process.argv[2] ?? 'tasks.bpf.o');
object.variable<number>('only').set(process.pid);
object.load();

const event = object.type<{ parent: number; child: number; name: string }>('event');
using ring = object.ringBuffer('events', { drops: object.map('events_drops') });
ring.start((data, offset) => {
  const { parent, name } = event.read(data, offset);
  console.log(`${parent === process.pid ? 'this process' : parent} started one as ${name}`);
});

using _link = object.program('on_task').attach();
for (const command of ['true', 'id', 'date']) execFileSync(command);
while (ring.stats().records < 3) await sleep(10);

const made = object.map<number, bigint>('made');
console.log('made:', made.get(process.pid));
const { records, drops } = ring.stats();
console.log({ records, drops });
