/**
 * Where random tests begin: EKHO_SEED repeats a run. A CI run always takes the same seed, so that it tells of the change it runs
 * for; everybody else searches on.
 */
const CI_SEED = 55136003;

/** For what is to begin elsewhere in each run, also in CI. A test that is run once more begins where it did the first time (scripts/projects.mjs). */
export const FRESH_SEED = Number(
  process.env.EKHO_SEED ?? process.env.EKHO_FRESH_SEED ?? Date.now() % 2 ** 31,
);

export const SEED = Number(process.env.EKHO_SEED ?? (process.env.CI ? CI_SEED : Date.now() % 2 ** 31));
