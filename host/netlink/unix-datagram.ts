/** Datagrams to unix sockets, which Node does not have. */
import { closeSync } from 'node:fs';
import koffi from 'koffi';

const AF_UNIX = 1;
/** linux/net.h: SOCK_DGRAM | SOCK_CLOEXEC. */
const DATAGRAM_SOCKET = 2 | 0x80000;
/** linux/socket.h: MSG_DONTWAIT | MSG_NOSIGNAL. */
const AT_ONCE = 0x40 | 0x4000;
/** linux/un.h: bytes of sun_path. */
const PATH_BYTES = 108;

const libc = koffi.load(null);
const openSocket = libc.func('int socket(int domain, int type, int protocol)');
const sendTo = libc.func(
  'int sendto(int fd, const void *data, size_t length, int flags, const void *address, uint32_t addressLength)',
);

/** struct sockaddr_un; `@` at the front stands for the zero of an abstract name. Undefined: it is too long. */
export function unixAddress(path: string): Buffer | undefined {
  const isAbstract = path.startsWith('@');
  const name = Buffer.from(isAbstract ? `\0${path.slice(1)}` : `${path}\0`);
  if (name.length > PATH_BYTES) return undefined;
  return Buffer.concat([Buffer.from(new Uint16Array([AF_UNIX]).buffer), name]);
}

/** Sends without waiting; false: it was not taken. */
export function sendDatagram(path: string, text: string): boolean {
  const address = unixAddress(path);
  if (address === undefined) return false;
  const fd = openSocket(AF_UNIX, DATAGRAM_SOCKET, 0) as number;
  if (fd < 0) return false;
  try {
    const data = Buffer.from(text);
    return (sendTo(fd, data, data.length, AT_ONCE, address, address.length) as number) === data.length;
  } finally {
    closeSync(fd);
  }
}
