/** The statements of this browser session, newest first, a list a cluster. Gone when the tab is closed. */
import { useState } from "react";

export interface Past {
  statement: string;
  database: string;
  at: number;
  outcome: string;
  failed: boolean;
}

const LONGEST = 50;

const key = (cluster: string) => `ootheca.sql.history.${cluster}`;

function read(cluster: string): Past[] {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(key(cluster)) ?? "[]");
    return Array.isArray(kept) ? (kept as Past[]) : [];
  } catch {
    return [];
  }
}

/** The history of a cluster, a way to add to it and one to forget it. */
export function useHistory(cluster: string) {
  const [kept, setKept] = useState(() => read(cluster));
  const write = (next: Past[]) => {
    setKept(next);
    try {
      sessionStorage.setItem(key(cluster), JSON.stringify(next));
    } catch {
      // A full or forbidden storage only costs the history its next reload.
    }
  };
  return {
    history: kept,
    remember: (past: Past) =>
      write([past, ...kept.filter((other) => other.statement !== past.statement)].slice(0, LONGEST)),
    forget: () => write([]),
  };
}
