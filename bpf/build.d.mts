export function canBuildBpf(): boolean;
export function buildBpf(file: { source: string; output: string; includes?: string[] }): boolean;
export function buildAllBpf(): string[];
