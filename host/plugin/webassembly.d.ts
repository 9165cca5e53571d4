/** The part of the WebAssembly JavaScript API that the host uses; TypeScript has it only together with the DOM's types. */

declare namespace WebAssembly {
  interface Memory {
    readonly buffer: ArrayBuffer;
  }
  interface MemoryConstructor {
    new (descriptor: { initial: number; maximum?: number }): Memory;
    readonly prototype: Memory;
  }
  const Memory: MemoryConstructor;

  type Exports = Record<string, unknown>;

  interface Module {
    readonly [Symbol.toStringTag]: 'WebAssembly.Module';
  }
  interface ModuleConstructor {
    new (bytes: Uint8Array): Module;
  }
  const Module: ModuleConstructor;
  interface Instance {
    readonly exports: Exports;
  }
  interface InstanceConstructor {
    new (module: Module, imports?: Record<string, Record<string, unknown>>): Instance;
  }
  const Instance: InstanceConstructor;

  function compile(bytes: Uint8Array): Promise<Module>;
}
