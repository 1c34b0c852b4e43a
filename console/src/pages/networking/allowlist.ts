/** What an allowlist means. Pure; the server's rules and texts, so that a mistake shows before it is sent. */

export interface Network {
  cidr_ip: string;
  cidr_mask: number;
}

export interface Entry extends Network {
  name: string;
  sql: boolean;
  ui: boolean;
}

/** The network of everybody. */
export const EVERYBODY: Network = { cidr_ip: "0.0.0.0", cidr_mask: 0 };

/** The number behind an IPv4 address, or null. Leading zeros are refused: some read them as octal. */
export function ipv4(text: string): number | null {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return null;
  return parts.reduce((number, part) => number * 256 + Number(part), 0);
}

/** The address of a caller as an IPv4 address, where it is one; a mapped one counts. */
export function asIpv4(address: string | null | undefined): string | null {
  const bare = (address ?? "").replace(/^::ffff:/i, "");
  return ipv4(bare) === null ? null : bare;
}

export function cidr(network: Network): string {
  return `${network.cidr_ip}/${network.cidr_mask}`;
}

/** A network of what somebody typed: an address alone is itself. Or what is wrong with it. */
export function parse(text: string): Network | { error: string } {
  const [address = "", mask = "32", ...more] = text.trim().split("/");
  const ip = ipv4(address);
  if (ip === null)
    return {
      error: address.includes(":") ? "must be an IPv4 address; IPv6 is not supported" : "must be an IPv4 address",
    };
  if (more.length > 0 || !/^\d{1,2}$/.test(mask) || Number(mask) > 32)
    return { error: "the mask must be from 0 to 32" };
  const bits = Number(mask);
  const meant = truncated(ip, bits);
  if (meant !== ip) return { error: `has bits outside the mask; did you mean ${dotted(meant)}/${bits}?` };
  return { cidr_ip: dotted(ip), cidr_mask: bits };
}

export function contains(network: Network, address: string): boolean {
  const base = ipv4(network.cidr_ip);
  const ip = ipv4(address);
  return base !== null && ip !== null && truncated(ip, network.cidr_mask) === base;
}

/** How many addresses a network has, in words. */
export function size(network: Network): string {
  if (network.cidr_mask === 0) return "every address";
  const count = 2 ** (32 - network.cidr_mask);
  return count === 1 ? "1 address" : `${count.toLocaleString("en-US")} addresses`;
}

/** Whether SQL clients at `address` are let in. */
export function lets(entries: Entry[], address: string): boolean {
  return entries.some((entry) => entry.sql && contains(entry, address));
}

export interface Warning {
  kind: "shut-out" | "nobody" | "everybody";
  text: string;
}

/** What a change of the list would do that nobody should do unaware. `address` is where the caller is. */
export function warnings(before: Entry[], after: Entry[], address: string | null): Warning[] {
  const found: Warning[] = [];
  const nobody = (entries: Entry[]) => !entries.some((entry) => entry.sql);
  const everybody = (entries: Entry[]) => entries.some((entry) => entry.sql && entry.cidr_mask === 0);
  if (nobody(after) && !nobody(before)) {
    found.push({
      kind: "nobody",
      text: "No SQL client could connect any more: no other network is allowed.",
    });
  } else if (address !== null && lets(before, address) && !lets(after, address)) {
    found.push({
      kind: "shut-out",
      text: `SQL clients at your current address, ${address}, could not connect any more, and their sessions end.`,
    });
  }
  if (everybody(after) && !everybody(before)) {
    found.push({
      kind: "everybody",
      text: "Every address could connect. Only passwords would keep strangers out.",
    });
  }
  return found;
}

/** The list with one entry put in, in place of the one with its network. */
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
