/**
 * What changes elsewhere appears by itself: one stream of the server's events for the whole page. An event
 * makes the queries void that show its object; while there is no stream, everything is asked again at times.
 */
import type { QueryClient } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";
import { keys, refreshInList } from "./queries";

export type LiveState = "connecting" | "live" | "reconnecting";

interface LiveEvent {
  kind: string;
  id: string;
  parent?: string;
  what: "created" | "changed" | "deleted";
}

/** How often the page asks while it hears nothing. */
const POLL_MS = 15_000;
/** How long events are gathered, so that a storm of them asks once. */
const GATHER_MS = 250;
/** So many changed clusters are asked for one by one; more make the whole list void. */
const SINGLY = 15;

let state: LiveState = "connecting";
const watchers = new Set<() => void>();

function become(next: LiveState) {
  if (next === state) return;
  state = next;
  for (const watcher of watchers) watcher();
}

/** Whether the page hears of changes at the moment. */
export function useLiveState(): LiveState {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher);
      return () => void watchers.delete(watcher);
    },
    () => state,
  );
}

/** The queries that show what an event is about. */
export function touchedBy(event: LiveEvent): readonly (readonly string[])[] {
  switch (event.kind) {
    case "cluster":
      return [keys.cluster(event.id)];
    case "allowlist_entry":
      return [keys.allowlist(event.parent ?? "")];
    case "folder":
      return [keys.folders];
    case "organization":
      return [keys.organization, keys.session];
    case "person":
      return [keys.people, keys.invitations, keys.roles, keys.session];
    case "group":
      return [keys.groups, keys.roles];
    case "service_account":
      return [keys.serviceAccounts, keys.roles];
    case "api_key":
      return [keys.apiKeys];
    default:
      return [];
  }
}

/** Follows the stream until the returned function is called. */
export function follow(client: QueryClient): () => void {
  const pending = new Map<string, readonly string[]>();
  let gather: ReturnType<typeof setTimeout> | undefined;
  let source: EventSource | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let cursor = "";
  let ended = false;

  const flush = () => {
    gather = undefined;
    const touched = [...pending.values()];
    pending.clear();
    for (const queryKey of touched) void client.invalidateQueries({ queryKey });
    const changed = touched.filter(([kind]) => kind === "cluster").map(([, id]) => id as string);
    if (changed.length > SINGLY) void client.invalidateQueries({ queryKey: keys.clusters });
    else for (const id of changed) void refreshInList(client, id);
    // Every change leaves an audit entry.
    if (touched.length > 0) void client.invalidateQueries({ queryKey: keys.audit });
  };
  const hear = (message: MessageEvent<string>) => {
    cursor = message.lastEventId || cursor;
    become("live");
    try {
      for (const key of touchedBy(JSON.parse(message.data) as LiveEvent)) pending.set(key.join("/"), key);
    } catch {
      return;
    }
    gather ??= setTimeout(flush, GATHER_MS);
  };
  const open = () => {
    source = new EventSource(cursor ? `/api/v1/events?cursor=${encodeURIComponent(cursor)}` : "/api/v1/events");
    source.onmessage = hear;
    source.onopen = () => {
      const returned = state === "reconnecting";
      become("live");
      // Without a cursor nobody knows what was missed.
      if (returned && !cursor) void client.invalidateQueries();
    };
    source.onerror = () => {
      become("reconnecting");
      // The browser itself comes back after a lost connection, but not after a refusal.
      if (source?.readyState !== EventSource.CLOSED || ended) return;
      cursor = "";
      // It may be that the session has ended.
      void client.invalidateQueries({ queryKey: keys.session });
      retry = setTimeout(open, 3_000);
    };
  };
  const poll = setInterval(() => {
    if (state !== "live" && document.visibilityState === "visible") void client.invalidateQueries();
  }, POLL_MS);
  open();
  return () => {
    ended = true;
    source?.close();
    clearInterval(poll);
    clearTimeout(retry);
    clearTimeout(gather);
    become("connecting");
  };
}
