/** The meaning of an allowlist, as pure functions. They follow the rules of the server. */

export interface Network {
  cidr_ip: string;
  cidr_mask: number;
}

export interface Entry extends Network {
  name: string;
  sql: boolean;
  ui: boolean;
}

/** The network of all addresses. */
export const ANY_ADDRESS: Network = { cidr_ip: "0.0.0.0", cidr_mask: 0 };

/** An IPv4 address as a number, or null. Leading zeros are invalid, because some programs read them as octal. */
export function ipv4(text: string): number | null {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return null;
  return parts.reduce((number, part) => number * 256 + Number(part), 0);
}

/** An IPv4 address, or an IPv4 address mapped to IPv6. Otherwise null. */
export function asIpv4(address: string | null | undefined): string | null {
  const bare = (address ?? "").replace(/^::ffff:/i, "");
  return ipv4(bare) === null ? null : bare;
}

export function cidr(network: Network): string {
  return `${network.cidr_ip}/${network.cidr_mask}`;
}

/** Parses a network. An address without a mask stands for itself. Returns an error for invalid input. */
export function parse(text: string): Network | { error: string } {
  const [address = "", mask = "32", ...more] = text.trim().split("/");
  const ip = ipv4(address);
  if (ip === null)
    return {
      error: address.includes(":")
        ? "Enter an IPv4 address. IPv6 isn't supported."
        : "Enter an IPv4 address or network.",
    };
  if (more.length > 0 || !/^\d{1,2}$/.test(mask) || Number(mask) > 32) return { error: "Use a mask from 0 to 32." };
  const bits = Number(mask);
  const base = truncated(ip, bits);
  if (base !== ip) return { error: `The address has bits outside the mask. Did you mean ${dotted(base)}/${bits}?` };
  return { cidr_ip: dotted(ip), cidr_mask: bits };
}

export function contains(network: Network, address: string): boolean {
  const base = ipv4(network.cidr_ip);
  const ip = ipv4(address);
  return base !== null && ip !== null && truncated(ip, network.cidr_mask) === base;
}

/** The number of addresses of a network. */
export function size(network: Network): string {
  if (network.cidr_mask === 0) return "All addresses";
  const count = 2 ** (32 - network.cidr_mask);
  return count === 1 ? "1 address" : `${count.toLocaleString("en-US")} addresses`;
}

/** Whether SQL clients at `address` can connect. */
export function allows(entries: Entry[], address: string): boolean {
  return entries.some((entry) => entry.sql && contains(entry, address));
}

export interface Warning {
  kind: "blocks-caller" | "blocks-all" | "allows-all";
  text: string;
}

/** The risks of changing an allowlist. `address` is the address of the caller. */
export function warnings(before: Entry[], after: Entry[], address: string | null): Warning[] {
  const found: Warning[] = [];
  const blocksAll = (entries: Entry[]) => !entries.some((entry) => entry.sql);
  const allowsAll = (entries: Entry[]) => entries.some((entry) => entry.sql && entry.cidr_mask === 0);
  if (blocksAll(after) && !blocksAll(before)) {
    found.push({
      kind: "blocks-all",
      text: "SQL clients won't be able to connect, because no other network is allowed.",
    });
  } else if (address !== null && allows(before, address) && !allows(after, address)) {
    found.push({
      kind: "blocks-caller",
      text: `SQL clients at your IP address, ${address}, will be disconnected and won't be able to connect.`,
    });
  }
  if (allowsAll(after) && !allowsAll(before)) {
    found.push({
      kind: "allows-all",
      text: "SQL clients will be able to connect from any address. Only passwords protect the cluster.",
    });
  }
  return found;
}

/** The entries with one added, or replaced if its network is already listed. */
export function withEntry(entries: Entry[], entry: Entry): Entry[] {
  return [...without(entries, entry), entry];
}

export function without(entries: Entry[], network: Network): Entry[] {
  return entries.filter((entry) => cidr(entry) !== cidr(network));
}

function truncated(ip: number, mask: number): number {
  const step = 2 ** (32 - mask);
  return Math.floor(ip / step) * step;
}

function dotted(ip: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(ip / 2 ** shift) % 256).join(".");
}
