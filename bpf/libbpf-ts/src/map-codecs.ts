/** How keys and values of a map are laid out: by BTF, by the map's type where BTF says nothing, per CPU. */

import type { Btf } from './btf.ts';
import { type Codec, codecOf, intCodec, plainCodec } from './codec.ts';
import type { MapType } from './constants.ts';
import { BpfError } from './errors.ts';
import { checked } from './failure.ts';
import { native } from './native.ts';

/** A loaded map or program: what stands in maps by its descriptor. */
export interface HasFd {
  readonly fd: number;
}

export interface Layout {
  readonly type: MapType;
  readonly keySize: number;
  readonly valueSize: number;
  readonly btf: Btf | undefined;
  /** 0 where BTF does not say. */
  readonly keyTypeId: number;
  readonly valueTypeId: number;
}

/** Value of a devmap whose entries have a program: the device, and what runs on packets redirected to it. */
export interface DevmapValue {
  readonly ifindex: number;
  readonly program?: HasFd | number;
}

export interface CpumapValue {
  readonly queueSize: number;
  readonly program?: HasFd | number;
}

const u32 = intCodec(4, false, 'u32') as Codec<number>;

let cpus: number | undefined;
/** Possible CPUs: how many values a per-CPU map has for each key. */
export function possibleCpus(): number {
  cpus ??= checked(native().libbpf_num_possible_cpus() as number, 'count possible CPUs');
  return cpus;
}

export function isPerCpu(type: MapType): boolean {
  return (
    type === 'percpu_hash' ||
    type === 'percpu_array' ||
    type === 'lru_percpu_hash' ||
    type === 'percpu_cgroup_storage'
  );
}

/** Written as a descriptor, read as the id of the map or program. */
const byFd: Codec<HasFd | number> = {
  size: 4,
  name: 'fd',
  read: u32.read,
  write(view, offset, value) {
    const fd = typeof value === 'object' ? value.fd : value;
    if (!Number.isInteger(fd) || fd < 0) {
      throw new BpfError('E_VALUE', 'a loaded map or program is expected as value');
    }
    view.setInt32(offset, fd, true);
  },
};

/** struct bpf_devmap_val, struct bpf_cpumap_val: a number and the descriptor (read: the id) of a program or 0. */
function withProgram<T extends { readonly program?: HasFd | number }>(
  field: Exclude<keyof T, 'program'> & string,
): Codec<T> {
  return {
    size: 8,
    name: field,
    read: (view, offset) =>
      ({ [field]: u32.read(view, offset), program: u32.read(view, offset + 4) }) as unknown as T,
    write(view, offset, value) {
      u32.write(view, offset, value[field] as number);
      // In both structs a descriptor ≤ 0 means none.
      if (value.program === undefined) view.setInt32(offset + 4, 0, true);
      else byFd.write(view, offset + 4, value.program);
    },
  };
}

function perCpu(each: Codec, size: number): Codec<unknown[]> {
  const stride = (size + 7) & ~7; // bpf_percpu_*_copy: round_up(value_size, 8)
  const count = possibleCpus();
  return {
    size: stride * count,
    name: `${each.name} on ${count} CPUs`,
    read: (view, offset) => Array.from({ length: count }, (_, cpu) => each.read(view, offset + cpu * stride)),
    write(view, offset, value) {
      if (!Array.isArray(value) || value.length !== count) {
        throw new BpfError('E_VALUE', `a per-CPU value is an array of ${count}, one for each possible CPU`);
      }
      for (let cpu = 0; cpu < count; cpu++) each.write(view, offset + cpu * stride, value[cpu]);
    },
  };
}

function byBtf(btf: Btf | undefined, id: number, size: number): Codec {
  if (btf === undefined || id === 0) return plainCodec(size);
  const codec = codecOf(btf, id);
  // BTF that does not fit the map (made by hand, or of another version) would read past the buffers.
  return codec.size === size ? codec : plainCodec(size);
}

export function keyCodec(layout: Layout): Codec {
  return byBtf(layout.btf, layout.keyTypeId, layout.keySize);
}

export function valueCodec(layout: Layout): Codec {
  switch (layout.type) {
    case 'array_of_maps':
    case 'hash_of_maps':
    case 'prog_array':
      return byFd as Codec;
    case 'devmap':
    case 'devmap_hash':
      return layout.valueSize === 8 ? (withProgram<DevmapValue>('ifindex') as Codec) : (u32 as Codec);
    case 'cpumap':
      return layout.valueSize === 8 ? (withProgram<CpumapValue>('queueSize') as Codec) : (u32 as Codec);
    default: {
      const each = byBtf(layout.btf, layout.valueTypeId, layout.valueSize);
      return isPerCpu(layout.type) ? (perCpu(each, layout.valueSize) as Codec) : each;
    }
  }
}
