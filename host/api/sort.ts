/** A sort of many values that leaves the event loop to others: runs are sorted at once, and merged in slices. */
import { Slice } from '../slices.ts';

/** Sorted at once; a few milliseconds with the slowest of comparisons. */
const RUN = 512;
/** Values merged between two looks at the clock. */
const STEP = 128;

/** The places 0 to `length` - 1 in the order of `compare`; of those that are equal, the smaller place comes first. */
export async function sortedPlaces(
  length: number,
  compare: (a: number, b: number) => number,
): Promise<Uint32Array> {
  const slice = new Slice();
  let places = Uint32Array.from({ length }, (_, place) => place);
  for (let begin = 0; begin < length; begin += RUN) {
    if (slice.isOver) await slice.next();
    places.subarray(begin, begin + RUN).sort(compare);
  }
  let merged = new Uint32Array(length);
  for (let run = RUN; run < length; run *= 2) {
    for (let begin = 0; begin < length; begin += 2 * run) {
      const middle = Math.min(begin + run, length);
      const end = Math.min(begin + 2 * run, length);
      let left = begin;
      let right = middle;
      for (let at = begin; at < end; at++) {
        if (at % STEP === 0 && slice.isOver) await slice.next();
        const isLeft = right >= end || (left < middle && compare(places[left]!, places[right]!) <= 0);
        merged[at] = isLeft ? places[left++]! : places[right++]!;
      }
    }
    [places, merged] = [merged, places];
  }
  return places;
}
