export declare const USAGE: string;

/** Of the command line; what has a default is always there. */
export interface ChaosOptions {
  readonly minutes: string;
  readonly pieces: string;
  readonly hours?: string;
  readonly seed: string;
  readonly routes: string;
  readonly fault?: string[];
  readonly list: boolean;
  readonly write: boolean;
  readonly help: boolean;
}

/** @throws TypeError with a line that says which word is not understood */
export declare function chaosOptions(words: string[], seed?: string): ChaosOptions;
