/** epoll's constants and struct, as the poll thread and its user need them. */

/** Slot of the descriptor that ends the poll thread. */
export const STOP = 0;
/** Descriptors reported at once; others come with the next call. */
export const EVENTS_MAX = 64;

export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_DEL = 2;
export const EPOLL_CTL_MOD = 3;
export const EPOLL_CLOEXEC = 0o2000000;
export const EPOLLIN = 1;
export const EPOLLONESHOT = 1 << 30;

/** struct epoll_event is packed on x86-64 only. */
const DATA_OFFSET = process.arch === 'x64' ? 4 : 8;
export const EPOLL_EVENT_SIZE = DATA_OFFSET + 8;

export function makeEvent(events: number, slot: number): DataView {
  const event = new DataView(new ArrayBuffer(EPOLL_EVENT_SIZE));
  event.setUint32(0, events, true);
  event.setUint32(DATA_OFFSET, slot, true);
  return event;
}

/** The slot of the n-th reported event. */
export function readEvent(events: DataView, index: number): number {
  return events.getUint32(index * EPOLL_EVENT_SIZE + DATA_OFFSET, true);
}
