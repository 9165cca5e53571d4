/** libbpf-ts: BPF from TypeScript, on the system's libbpf. */

export { Btf, type BtfField, type BtfKind, type BtfMember, type BtfType } from './btf.ts';
export { type Codec, codecOf, decode, encode, intCodec, rawCodec } from './codec.ts';
export { MAP_TYPES, type MapType, PROGRAM_TYPES, type ProgramType } from './constants.ts';
export { BpfError, ERROR_CODES, type ErrorCode, type ErrorDetails } from './errors.ts';
export {
  type Answer,
  FEATURES,
  type Feature,
  probe,
  probeAll,
  probeHelper,
  probeMapType,
  probeProgramType,
} from './features.ts';
export type { Variable } from './globals.ts';
export type { LinkInfo, MapInfo, ProgramInfo } from './info.ts';
export { Link, TcFilter, type TcOptions, type TcPoint } from './link.ts';
export { prefixKey } from './lpm.ts';
export { BpfMap, type Column, type CreateMapOptions, type MapOptions, type UpdateMode } from './map.ts';
export type { Chunk } from './map-batch.ts';
export { type CpumapValue, type DevmapValue, type HasFd, possibleCpus } from './map-codecs.ts';
export { libbpfVersion } from './native.ts';
export { BpfObject, type OpenOptions } from './object.ts';
export {
  type KprobeOptions,
  Program,
  type RunOptions,
  type RunResult,
  type XdpMode,
} from './program.ts';
export {
  type Capability,
  effectiveCapabilities,
  type Lockdown,
  lockdownMode,
  missingCapabilities,
} from './rights.ts';
export {
  type RecordHandler,
  RingBuffer,
  type RingBufferOptions,
  type RingBufferStats,
  type StartOptions,
} from './ringbuf.ts';
export type { VerifierKind, VerifierReport } from './verifier.ts';
