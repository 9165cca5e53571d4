/** Raw frames in and out of a link: an AF_PACKET socket (packet(7)), opened in a namespace of the test's own. */
import { closeSync } from 'node:fs';
import koffi from 'koffi';
import { inNetns } from '../../host/netlink/syscall.ts';

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
/** ETH_P_ALL in network byte order. */
const ALL = 0x0300;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_AUXDATA = 8;
const PACKET_IGNORE_OUTGOING = 23;
const TP_STATUS_VLAN_VALID = 1 << 4;
const TP_STATUS_VLAN_TPID_VALID = 1 << 6;
const RECEIVE_BUFFER = 16 << 20;
const FRAME_MAX = 65_536;
/** Offsets in struct msghdr, 64-bit. */
const MSG = { iov: 16, iovlen: 24, control: 32, controllen: 40, size: 56 };
/** struct cmsghdr is 16 bytes; struct tpacket_auxdata: status, len, snaplen, mac, net, vlan_tci, vlan_tpid. */
const CMSG = 16;
const CONTROL = 64;

const libc = koffi.load(null);
const socket = libc.func('int socket(int domain, int type, int protocol)');
const bind = libc.func('int bind(int fd, const void *address, uint32_t length)');
const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
);
const send = libc.func('intptr_t send(int fd, const void *data, size_t length, int flags)');
const recvmsg = libc.func('intptr_t recvmsg(int fd, void *message, int flags)');

/** One end of a wire: what is sent leaves by the link, what is received came in by it. VLAN tags are where they were on the wire. */
export class WireEnd implements Disposable {
  readonly #fd: number;
  readonly #frame = new ArrayBuffer(FRAME_MAX);
  readonly #control = new ArrayBuffer(CONTROL);
  readonly #iov = new ArrayBuffer(16);
  readonly #message = new ArrayBuffer(MSG.size);

  constructor(netns: string, ifindex: number) {
    this.#fd = inNetns(
      netns,
      () => socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, ALL) as number,
    );
    if (this.#fd < 0) throw new Error(`packet socket: errno ${koffi.errno()}`);
    const address = new DataView(new ArrayBuffer(20));
    address.setUint16(0, AF_PACKET, true);
    address.setUint16(2, ALL, true);
    address.setInt32(4, ifindex, true);
    const one = new Int32Array([1]);
    this.#check(
      'SO_RCVBUFFORCE',
      setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, new Int32Array([RECEIVE_BUFFER]), 4),
    );
    this.#check('PACKET_IGNORE_OUTGOING', setsockopt(this.#fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, one, 4));
    this.#check('PACKET_AUXDATA', setsockopt(this.#fd, SOL_PACKET, PACKET_AUXDATA, one, 4));
    this.#check('bind', bind(this.#fd, address.buffer, 20));
    const iov = new BigUint64Array(this.#iov);
    iov[0] = BigInt(koffi.address(this.#frame));
    iov[1] = BigInt(FRAME_MAX);
    const message = new DataView(this.#message);
    message.setBigUint64(MSG.iov, BigInt(koffi.address(this.#iov)), true);
    message.setBigUint64(MSG.iovlen, 1n, true);
    message.setBigUint64(MSG.control, BigInt(koffi.address(this.#control)), true);
  }

  #check(what: string, result: unknown): void {
    if ((result as number) < 0) throw new Error(`packet socket, ${what}: errno ${koffi.errno()}`);
  }

  /** False when the link does not take it: it is down, or the frame too long. */
  send(frame: Uint8Array): boolean {
    return (send(this.#fd, frame, frame.length, 0) as number) === frame.length;
  }

  /** Everything that came in since the last call. */
  *received(): Generator<Uint8Array> {
    const message = new DataView(this.#message);
    for (;;) {
      message.setBigUint64(MSG.controllen, BigInt(CONTROL), true);
      const length = Number(recvmsg(this.#fd, this.#message, 0));
      if (length < 0) return;
      yield this.#tagged(new Uint8Array(this.#frame, 0, length).slice());
    }
  }

  /** The kernel takes the outer VLAN tag out of the frame and tells it beside it: back to its place. */
  #tagged(frame: Uint8Array): Uint8Array {
    const control = new DataView(this.#control);
    if (control.getInt32(8, true) !== SOL_PACKET || control.getInt32(12, true) !== PACKET_AUXDATA)
      return frame;
    const status = control.getUint32(CMSG, true);
    if ((status & TP_STATUS_VLAN_VALID) === 0) return frame;
    const tagged = new Uint8Array(frame.length + 4);
    tagged.set(frame.subarray(0, 12));
    const view = new DataView(tagged.buffer);
    view.setUint16(
      12,
      (status & TP_STATUS_VLAN_TPID_VALID) === 0 ? 0x8100 : control.getUint16(CMSG + 18, true),
    );
    view.setUint16(14, control.getUint16(CMSG + 16, true));
    tagged.set(frame.subarray(12), 16);
    return tagged;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
