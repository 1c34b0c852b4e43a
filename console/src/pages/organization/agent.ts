/** A browser's name out of its `User-Agent`: enough to tell one's own devices apart, never a decision. */
const BROWSERS: [RegExp, string][] = [
  [/\bEdg(e|A|iOS)?\//, "Edge"],
  [/\b(OPR|Opera)\//, "Opera"],
  [/\b(Firefox|FxiOS)\//, "Firefox"],
  [/\b(Chrome|Chromium|CriOS|HeadlessChrome)\//, "Chrome"],
  [/\bSafari\//, "Safari"],
];

const SYSTEMS: [RegExp, string][] = [
  [/iPhone|iPad/, "iOS"],
  [/Android/, "Android"],
  [/Windows/, "Windows"],
  [/Mac OS X|Macintosh/, "macOS"],
  [/CrOS/, "ChromeOS"],
  [/Linux|X11/, "Linux"],
];

const first = (names: [RegExp, string][], text: string) => names.find(([sign]) => sign.test(text))?.[1];

/** `Firefox on Linux`, or the beginning of what it says of itself. */
export function agentName(agent: string): string {
  const browser = first(BROWSERS, agent);
  if (!browser) return agent.split(/[\s(]/)[0] || "Unknown program";
  const system = first(SYSTEMS, agent);
  return system ? `${browser} on ${system}` : browser;
}
