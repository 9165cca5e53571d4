/** Text from outside, such as names of links, as it may be shown to people. */

/** Control and format characters, which drive a terminal, begin a line or turn round the direction of what follows, are replaced. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '\u{fffd}');
}
