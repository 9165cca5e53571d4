const RTM_GETLINK = 18;
const REQUEST_AND_DUMP = 0x301;

/** Asks for all links. */
export function dumpOfLinks(): Uint8Array {
  const message = Buffer.alloc(32);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(RTM_GETLINK, 4);
  message.writeUInt16LE(REQUEST_AND_DUMP, 6);
  return message;
}
