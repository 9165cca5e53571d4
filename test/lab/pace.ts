/** How much longer than on a stock kernel tests wait in this guest: on the debug kernel, whose suite sets it (suite.ts), every step takes longer. */
export const PACE = Number(process.env.EKHO_LAB_PACE ?? 1);
