/** Packages of those `commands` that are not on PATH. */
export function missingPackages(commands: readonly string[]): string[];

/** Installs Debian packages; whether they are there now. Throws when apt fails. */
export function ensurePackages(packages: readonly string[]): boolean;
