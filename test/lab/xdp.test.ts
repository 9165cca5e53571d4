/** The XDP data path on stock kernels: what the verifier says. */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { BpfObject } from '../../bpf/libbpf-ts/src/index.ts';

const OBJECT = fileURLToPath(new URL('../../build/bpf/datapath.bpf.o', import.meta.url));

test('the verifier takes the programs, with room to spare', () => {
  using object = BpfObject.open(OBJECT, { log: 'stats' }).load();
  for (const name of object.programNames) {
    const processed = /processed (\d+) insns/.exec(object.log(name) ?? '')?.[1];
    expect(Number(processed), name).toBeLessThan(250_000);
  }
});
