/** What the kernel tells about a map, program or link (BPF_OBJ_GET_INFO_BY_FD). */

import { MAP_TYPES, type MapType, PROGRAM_TYPES, type ProgramType } from './constants.ts';
import { checked } from './failure.ts';
import { native } from './native.ts';

export interface MapInfo {
  readonly id: number;
  readonly name: string;
  readonly type: MapType;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly btfId: number;
  readonly btfKeyTypeId: number;
  readonly btfValueTypeId: number;
}

export interface ProgramInfo {
  readonly id: number;
  readonly name: string;
  readonly type: ProgramType;
  /** SHA-1 of the instructions, its first 8 bytes in hexadecimal. */
  readonly tag: string;
  readonly mapIdCount: number;
  readonly btfId: number;
  /** Filled only while the sysctl kernel.bpf_stats_enabled is on. */
  readonly runTime_ns: bigint;
  readonly runCount: bigint;
  /** Runs skipped because the program was already running on that CPU. */
  readonly recursionMisses: bigint;
  readonly verifiedInstructions: number;
}

export interface LinkInfo {
  readonly id: number;
  readonly programId: number;
  /** Of XDP and tcx: the interface it is attached to; 0 once it was detached or the interface went. */
  readonly ifindex?: number;
}

/** enum bpf_link_type of those whose part of bpf_link_info begins with an interface index. */
const ON_INTERFACE: ReadonlySet<number> = new Set([6, 11]);

/** Room for the longest of the three structs; an older kernel fills less and the rest stays zero. */
const SIZE = 256;

function infoOf(fd: number, title: string): DataView {
  const bytes = new Uint8Array(SIZE);
  const length = new Uint32Array([SIZE]);
  checked(native().bpf_obj_get_info_by_fd(fd, bytes, length) as number, `get info of ${title}`);
  return new DataView(bytes.buffer);
}

function text(view: DataView, offset: number): string {
  const bytes = Buffer.from(view.buffer, offset, 16);
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end < 0 ? 16 : end);
}

/** struct bpf_map_info */
export function mapInfo(fd: number, title: string): MapInfo {
  const view = infoOf(fd, title);
  const u32 = (offset: number) => view.getUint32(offset, true);
  return {
    type: MAP_TYPES[u32(0)] ?? 'unspec',
    id: u32(4),
    keySize: u32(8),
    valueSize: u32(12),
    maxEntries: u32(16),
    flags: u32(20),
    name: text(view, 24),
    btfId: u32(64),
    btfKeyTypeId: u32(68),
    btfValueTypeId: u32(72),
  };
}

/** struct bpf_prog_info */
export function programInfo(fd: number, title: string): ProgramInfo {
  const view = infoOf(fd, title);
  const u32 = (offset: number) => view.getUint32(offset, true);
  return {
    type: PROGRAM_TYPES[u32(0)] ?? 'unspec',
    id: u32(4),
    tag: Buffer.from(view.buffer, 8, 8).toString('hex'),
    mapIdCount: u32(52),
    name: text(view, 64),
    btfId: u32(128),
    runTime_ns: view.getBigUint64(192, true),
    runCount: view.getBigUint64(200, true),
    recursionMisses: view.getBigUint64(208, true),
    verifiedInstructions: u32(216),
  };
}

/** struct bpf_link_info */
export function linkInfo(fd: number, title: string): LinkInfo {
  const view = infoOf(fd, title);
  const u32 = (offset: number) => view.getUint32(offset, true);
  return {
    id: u32(4),
    programId: u32(8),
    ...(ON_INTERFACE.has(u32(0)) && { ifindex: u32(16) }),
  };
}
