/** The Debian packages that bring what scripts call. Runs on any Node from 18 on. */
import { existsSync } from 'node:fs';
import { has, installDebian, isInstaller } from './setup.mjs';

/** System commands that tests, benches and the chaos use, and the Debian package of each. */
export const COMMANDS = {
  ip: 'iproute2',
  bridge: 'iproute2',
  tc: 'iproute2',
  nft: 'nftables',
  'iptables-legacy': 'iptables',
  cc: 'gcc',
  clang: 'clang',
  bpftool: 'bpftool',
  setpriv: 'util-linux',
  curl: 'curl',
  ping: 'iputils-ping',
  sysctl: 'procps',
  'nats-server': 'nats-server',
  openssl: 'openssl',
  minisign: 'minisign',
  ethtool: 'ethtool',
  chromium: 'chromium',
  'systemd-analyze': 'systemd',
  iperf3: 'iperf3',
  tmux: 'tmux',
  nfcapd: 'nfdump',
  // Take manual pages and completions.
  groff: 'groff-base',
  zsh: 'zsh',
  fish: 'fish',
  // Checks alert rules; its package is the server's.
  promtool: 'prometheus',
  // For the lab's guests; test/lab/machine.ts installs them, too, which two lanes cannot do at once.
  'qemu-system-aarch64': 'qemu-system-arm',
  ...(process.arch === 'x64' && { 'qemu-system-x86_64': 'qemu-system-x86' }),
  mmdebstrap: 'mmdebstrap',
  depmod: 'kmod',
  xz: 'xz-utils',
};

/** Packages of those `commands` that are not on PATH; with clang, what BPF programs take besides. */
export function missingPackages(commands) {
  const packages = new Set(commands.filter((command) => !has(command)).map((command) => COMMANDS[command]));
  if (packages.has('gcc')) packages.add('libc6-dev');
  // Brings libbpf itself.
  if (commands.includes('clang') && !existsSync('/usr/include/bpf/bpf_helpers.h')) packages.add('libbpf-dev');
  return [...packages];
}

/**
 * Installs Debian packages, as root where there is apt.
 *
 * @param {string[]} packages none: nothing is done
 * @returns {boolean} whether they are there now; without root or apt false
 * @throws {SetupError} when apt fails
 */
export function ensurePackages(packages) {
  if (packages.length === 0) return true;
  if (!isInstaller()) return false;
  installDebian(packages);
  return true;
}
