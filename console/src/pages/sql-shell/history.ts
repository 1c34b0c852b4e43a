/** The statements of this browser tab by cluster, newest first. They are deleted when the tab is closed. */
import { useState } from "react";

export interface HistoryEntry {
  statement: string;
  database: string;
  at: number;
  outcome: string;
  failed: boolean;
}

const MAX_ENTRIES = 50;

const key = (cluster: string) => `ootheca.sql.history.${cluster}`;

function read(cluster: string): HistoryEntry[] {
  try {
    const stored: unknown = JSON.parse(sessionStorage.getItem(key(cluster)) ?? "[]");
    return Array.isArray(stored) ? (stored as HistoryEntry[]) : [];
  } catch {
    return [];
  }
}

/** The history of a cluster, with functions to add to it and to clear it. */
export function useHistory(cluster: string) {
  const [entries, setEntries] = useState(() => read(cluster));
  const write = (next: HistoryEntry[]) => {
    setEntries(next);
    try {
      sessionStorage.setItem(key(cluster), JSON.stringify(next));
    } catch {
      // If the storage is full or disabled, the history is lost on reload.
    }
  };
  return {
    history: entries,
    add: (entry: HistoryEntry) =>
      write([entry, ...entries.filter((other) => other.statement !== entry.statement)].slice(0, MAX_ENTRIES)),
    clear: () => write([]),
  };
}
