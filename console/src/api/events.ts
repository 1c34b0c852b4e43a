/**
 * Live updates: one stream of the server's events for the whole console. An event invalidates the queries that show
 * its object. While the stream is interrupted, all queries are refetched from time to time.
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

/** How often queries are refetched while the stream is interrupted. */
const POLL_MS = 15_000;
/** How long events are collected, so that a burst of them causes one refetch. */
const BATCH_MS = 250;
/** Up to this many changed clusters are refetched one by one; more invalidate the whole list. */
const MAX_SINGLE_REFRESHES = 15;

let state: LiveState = "connecting";
const listeners = new Set<() => void>();

function setState(next: LiveState) {
  if (next === state) return;
  state = next;
  for (const listener of listeners) listener();
}

/** The state of the event stream. */
export function useLiveState(): LiveState {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    () => state,
  );
}

/** The keys of the queries that an event invalidates. */
export function invalidatedBy(event: LiveEvent): readonly (readonly string[])[] {
  switch (event.kind) {
    case "cluster":
      return [keys.cluster(event.id)];
    case "allowlist_entry":
      return [keys.allowlist(event.parent ?? "")];
    case "blackout_window":
      return [keys.blackoutWindows(event.parent ?? "")];
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

/** Follows the event stream until the returned function is called. */
export function followEvents(client: QueryClient): () => void {
  const pending = new Map<string, readonly string[]>();
  let batch: ReturnType<typeof setTimeout> | undefined;
  let source: EventSource | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let cursor = "";
  let ended = false;

  const flush = () => {
    batch = undefined;
    const invalidated = [...pending.values()];
    pending.clear();
    for (const queryKey of invalidated) void client.invalidateQueries({ queryKey });
    const changed = invalidated.filter(([kind]) => kind === "cluster").map(([, id]) => id as string);
    if (changed.length > MAX_SINGLE_REFRESHES) void client.invalidateQueries({ queryKey: keys.clusters });
    else for (const id of changed) void refreshInList(client, id);
    // Every change adds an audit entry.
    if (invalidated.length > 0) void client.invalidateQueries({ queryKey: keys.audit });
  };
  const receive = (message: MessageEvent<string>) => {
    cursor = message.lastEventId || cursor;
    setState("live");
    try {
      for (const key of invalidatedBy(JSON.parse(message.data) as LiveEvent)) pending.set(key.join("/"), key);
    } catch {
      return;
    }
    batch ??= setTimeout(flush, BATCH_MS);
  };
  const open = () => {
    source = new EventSource(cursor ? `/api/v1/events?cursor=${encodeURIComponent(cursor)}` : "/api/v1/events");
    source.onmessage = receive;
    source.onopen = () => {
      const reconnected = state === "reconnecting";
      setState("live");
      // Without a cursor, the events missed in between are unknown.
      if (reconnected && !cursor) void client.invalidateQueries();
    };
    source.onerror = () => {
      setState("reconnecting");
      // The browser reconnects after a lost connection, but not after an error response.
      if (source?.readyState !== EventSource.CLOSED || ended) return;
      cursor = "";
      // The session may have ended.
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
    clearTimeout(batch);
    setState("connecting");
  };
}
