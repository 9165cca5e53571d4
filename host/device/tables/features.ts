/**
 * What a network device's driver can do for XDP: NETDEV_CMD_DEV_GET of the generic netlink family `netdev` (Linux 6.3), asked
 * synchronously in the network namespace of this thread.
 */

import koffi from 'koffi';
import { closeDescriptor } from './system.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const NETLINK_GENERIC = 16;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const NLM_F_REQUEST = 1;
const NLMSG_ERROR = 2;
const GENL_ID_CTRL = 16;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
/** linux/netdev.h */
const NETDEV_CMD_DEV_GET = 1;
const NETDEV_A_DEV_IFINDEX = 1;
const NETDEV_A_DEV_XDP_FEATURES = 3;
/** NETDEV_XDP_ACT_NDO_XMIT: it sends frames that native XDP of another device redirects to it. */
export const XDP_TRANSMITS = 1 << 2;

const HEADER = 20;
const ANSWER_MAX = 8192;

const libc = koffi.load(null);
const socket = libc.func('int socket(int domain, int type, int protocol)');
const send = libc.func('intptr_t send(int fd, const uint8_t *data, size_t length, int flags)');
const recv = libc.func('intptr_t recv(int fd, _Out_ uint8_t *data, size_t length, int flags)');
const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
);

/** Number of the family, the same in all namespaces until the machine restarts; 0 when the kernel has none. */
let family: number | undefined;

/** Flags of enum netdev_xdp_act; undefined where the kernel does not tell. */
export function xdpFeatures(ifindex: number): number | undefined {
  const fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC) as number;
  if (fd < 0) return undefined;
  try {
    // The kernel answers within send(); the limit is for what must not be.
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, new BigInt64Array([1n, 0n]), 16);
    family ??= familyId(fd);
    if (family === 0) return undefined;
    const index = new Uint8Array(new Uint32Array([ifindex]).buffer);
    const answer = ask(fd, family, NETDEV_CMD_DEV_GET, NETDEV_A_DEV_IFINDEX, index);
    return answer === undefined
      ? undefined
      : attribute(answer, NETDEV_A_DEV_XDP_FEATURES)?.getUint32(0, true);
  } finally {
    closeDescriptor(fd);
  }
}

function familyId(fd: number): number {
  const name = new TextEncoder().encode('netdev\0');
  const answer = ask(fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, name);
  if (answer === undefined) return 0;
  return attribute(answer, CTRL_ATTR_FAMILY_ID)?.getUint16(0, true) ?? 0;
}

/** Sends a request with one attribute; the answer, undefined when it is an error. */
function ask(
  fd: number,
  type: number,
  command: number,
  name: number,
  value: Uint8Array,
): DataView | undefined {
  const length = HEADER + 4 + value.length;
  const message = new Uint8Array((length + 3) & ~3);
  const view = new DataView(message.buffer);
  view.setUint32(0, message.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, NLM_F_REQUEST, true);
  message[16] = command;
  message[17] = 1;
  view.setUint16(HEADER, 4 + value.length, true);
  view.setUint16(HEADER + 2, name, true);
  message.set(value, HEADER + 4);
  if (Number(send(fd, message, message.length, 0)) !== message.length) return undefined;
  const answer = new Uint8Array(ANSWER_MAX);
  const received = Number(recv(fd, answer, answer.length, 0));
  if (received < HEADER) return undefined;
  const answered = new DataView(answer.buffer, 0, received);
  return answered.getUint16(4, true) === NLMSG_ERROR ? undefined : answered;
}

function attribute(answer: DataView, name: number): DataView | undefined {
  for (let at = HEADER; at + 4 <= answer.byteLength; ) {
    const length = answer.getUint16(at, true);
    if (length < 4 || at + length > answer.byteLength) return undefined;
    if ((answer.getUint16(at + 2, true) & 0x3fff) === name)
      return new DataView(answer.buffer, at + 4, length - 4);
    at += (length + 3) & ~3;
  }
  return undefined;
}
