/** The entries of the audit log: older ones page by page, and new ones as they are written. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { api, unwrap } from "../../api/client";
import { keys } from "../../api/queries";
import { earliest, passes, type AuditSearch, type Entry } from "./filters";

/** Entries per request. */
const PAGE = 200;
/** Requests per screen: filters are applied here, so a page may hold few matches. */
const PAGES_AT_A_TIME = 5;
/** Matches per screen. */
const SCREEN = 50;
/** A rejected request adds an entry but causes no event, so the page also polls. */
const POLL_MS = 5_000;

type Found = { entries: Entry[]; next?: string; searchedUntil?: string };

async function list(order: "ASC" | "DESC", from: string, limit: number, signal?: AbortSignal) {
  const query = { sort_order: order, starting_from: from, limit };
  const answer = await unwrap(api.GET("/api/v1/auditlogevents", { params: { query }, signal }));
  return { entries: answer.entries as Entry[], next: answer.next_starting_from ?? undefined };
}

/** One screen of matches before `from`, or fewer after `PAGES_AT_A_TIME` requests. */
async function older(search: AuditSearch, from: string, until: number, signal: AbortSignal): Promise<Found> {
  const found: Entry[] = [];
  let next: string | undefined = from;
  let searchedUntil: string | undefined;
  for (let page = 0; page < PAGES_AT_A_TIME && next && found.length < SCREEN; page++) {
    const answer: { entries: Entry[]; next?: string } = await list("DESC", next, PAGE, signal);
    const inside = answer.entries.filter((entry) => Date.parse(entry.created_at) >= until);
    found.push(...inside.filter((entry) => passes(entry, search)));
    searchedUntil = answer.entries.at(-1)?.created_at ?? searchedUntil;
    next = inside.length < answer.entries.length ? undefined : answer.next;
  }
  return { entries: found, next, searchedUntil };
}

/** The filters without the opened entry, so that opening an entry does not refetch the list. */
const filtersOf = ({ logId: _, at: __, ...filters }: AuditSearch) => filters;

export function useEntries(search: AuditSearch) {
  const [opened] = useState(() => Date.now());
  const filters = filtersOf(search);
  const live = !search.endingAt;
  const start = search.endingAt ?? new Date(opened).toISOString();
  const until = earliest(search, opened);
  const past = useInfiniteQuery({
    // Not under the key of the audit log: an event must not refetch old entries.
    queryKey: ["audit-past", filters, start],
    queryFn: ({ pageParam, signal }) => older(search, pageParam, until, signal),
    initialPageParam: start,
    getNextPageParam: (page) => page.next,
    // Entries never change.
    staleTime: Infinity,
    refetchOnWindowFocus: false,
  });
  const fresh = useNewer(start, live);
  const shown = useMemo(() => {
    const all = [
      ...fresh.filter((entry) => passes(entry, search)),
      ...(past.data?.pages ?? []).flatMap((page) => page.entries),
    ];
    const seen = new Set<string>();
    return all.filter((entry) => !seen.has(entry.id) && seen.add(entry.id));
  }, [fresh, past.data, search]);
  return { ...past, shown, live, searchedUntil: past.data?.pages.at(-1)?.searchedUntil };
}

/** The entries after `start`, newest first. */
function useNewer(start: string, enabled: boolean): Entry[] {
  const newer = useQuery({
    queryKey: [...keys.audit, "newer", start],
    queryFn: async ({ client, queryKey, signal }) => {
      const before = client.getQueryData<{ entries: Entry[]; next: string }>(queryKey);
      const answer = await list("ASC", before?.next ?? start, PAGE, signal);
      const entries = [...answer.entries.reverse(), ...(before?.entries ?? [])];
      return { entries, next: answer.next ?? start };
    },
    enabled,
    refetchInterval: POLL_MS,
  });
  return useMemo(() => newer.data?.entries ?? [], [newer.data]);
}

/** The entry in the URL. */
export function useEntry(search: AuditSearch, shown: Entry[]) {
  const inList = shown.find((entry) => entry.id === search.logId);
  const alone = useQuery({
    queryKey: ["audit-entry", search.logId],
    queryFn: async ({ signal }) => {
      const answer = await list("DESC", search.at ?? new Date().toISOString(), 1, signal);
      return answer.entries.find((entry) => entry.id === search.logId) ?? null;
    },
    enabled: search.logId !== undefined && !inList,
  });
  return { entry: inList ?? alone.data ?? undefined, missing: !inList && alone.data === null, error: alone.error };
}
