/**
 * Where random tests begin: EKHO_SEED repeats a run. A CI run always takes the same seed, so that it tells of the change it runs
 * for; everybody else searches on.
 */
const CI_SEED = 55136003;

export const SEED = Number(process.env.EKHO_SEED ?? (process.env.CI ? CI_SEED : Date.now() % 2 ** 31));
