/** Size of the socket buffer that notifications wait in, where nothing else is configured. */

/** Bytes: some ten thousand route notifications, as many as arrive while the event loop is held up for tens of milliseconds. */
export const DEFAULT_RECEIVE_BUFFER = 8 * 1024 * 1024;
