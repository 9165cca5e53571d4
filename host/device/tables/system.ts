/** System calls about network devices, in the network namespace of this thread. */

import koffi from 'koffi';

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GDRVINFO = 3;
const IFNAMSIZ = 16;
const MEMBARRIER_CMD_GLOBAL = 1;
/** struct ethtool_drvinfo: cmd, driver[32], … */
const DRVINFO_SIZE = 196;

const libc = koffi.load(null);
const socket = libc.func('int socket(int domain, int type, int protocol)');
const ioctl = libc.func('int ioctl(int fd, unsigned long request, void *argument)');
const syscall = libc.func('long syscall(long number, long first, long second, long third)');
const close = libc.func('int close(int fd)');
/** Instead of the barrier, where there is none. */
const WITHOUT_BARRIER_MS = 100;
const if_indextoname = libc.func('void *if_indextoname(uint32_t index, _Out_ uint8_t *name)');

/**
 * Returns once every BPF program that ran when it was called has ended (membarrier(2), MEMBARRIER_CMD_GLOBAL: an RCU grace period);
 * some 10 ms.
 */
export function waitForPrograms(): void {
  if (syscall(process.arch === 'arm64' ? 283 : 324, MEMBARRIER_CMD_GLOBAL, 0, 0) === 0) return;
  // A kernel with nohz_full does not offer it. A program judges one packet, in microseconds, and nothing interrupts it for long.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WITHOUT_BARRIER_MS);
}

/** Closes a descriptor that is not a file of Node's. */
export function closeDescriptor(fd: number): void {
  close(fd);
}

/** Whether there is a network device with this index. */
export function isThere(ifindex: number): boolean {
  return if_indextoname(ifindex, new Uint8Array(IFNAMSIZ)) !== null;
}

/** Which driver a network device has (ETHTOOL_GDRVINFO). Empty when there is no such device, or it does not say. */
export function driverOf(ifindex: number): string {
  const name = new Uint8Array(IFNAMSIZ);
  if (if_indextoname(ifindex, name) === null) return '';
  const info = new Uint8Array(DRVINFO_SIZE);
  new DataView(info.buffer).setUint32(0, ETHTOOL_GDRVINFO, true);
  // struct ifreq: name, then a union with the pointer.
  const request = new Uint8Array(40);
  request.set(name);
  new DataView(request.buffer).setBigUint64(IFNAMSIZ, BigInt(koffi.address(info)), true);
  const fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) as number;
  if (fd < 0) return '';
  try {
    if (ioctl(fd, SIOCETHTOOL, request) !== 0) return '';
  } finally {
    close(fd);
  }
  const end = info.indexOf(0, 4);
  return Buffer.from(info.subarray(4, end)).toString('latin1');
}
