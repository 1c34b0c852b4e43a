/** The entries that the page shows: pages into the past, and what is new. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { api, unwrap } from "../../api/client";
import { keys } from "../../api/queries";
import { earliest, passes, type AuditSearch, type Entry } from "./filters";

/** Entries that are asked for at a time. */
const PAGE = 200;
/** Pages that are looked through for one screen of what matches. */
const PAGES_AT_A_TIME = 5;
/** Matches that make a screen. */
const ENOUGH = 50;
/** A refused call leaves an entry but no event, so the page also asks by itself. */
const POLL = 5_000;

type Found = { entries: Entry[]; next?: string; lookedBackTo?: string };

async function list(order: "ASC" | "DESC", from: string, limit: number, signal?: AbortSignal) {
  const query = { sort_order: order, starting_from: from, limit };
  const answer = await unwrap(api.GET("/api/v1/auditlogevents", { params: { query }, signal }));
  return { entries: answer.entries as Entry[], next: answer.next_starting_from ?? undefined };
}

/** One screen of matches from `from` into the past, or as far as was looked. */
async function older(search: AuditSearch, from: string, until: number, signal: AbortSignal): Promise<Found> {
  const found: Entry[] = [];
  let next: string | undefined = from;
  let lookedBackTo: string | undefined;
  for (let page = 0; page < PAGES_AT_A_TIME && next && found.length < ENOUGH; page++) {
    const answer: { entries: Entry[]; next?: string } = await list("DESC", next, PAGE, signal);
    const inside = answer.entries.filter((entry) => Date.parse(entry.created_at) >= until);
    found.push(...inside.filter((entry) => passes(entry, search)));
    lookedBackTo = answer.entries.at(-1)?.created_at ?? lookedBackTo;
    next = inside.length < answer.entries.length ? undefined : answer.next;
  }
  return { entries: found, next, lookedBackTo };
}

/** The filters alone: opening an entry does not ask again. */
const filtersOf = ({ logId: _, at: __, ...filters }: AuditSearch) => filters;

export function useEntries(search: AuditSearch) {
  const [opened] = useState(() => Date.now());
  const filters = filtersOf(search);
  const live = !search.endingAt;
  const start = search.endingAt ?? new Date(opened).toISOString();
  const until = earliest(search, opened);
  const past = useInfiniteQuery({
    // Not under the key of the audit log: an event must not ask for all of the past again.
    queryKey: ["audit-past", filters, start],
    queryFn: ({ pageParam, signal }) => older(search, pageParam, until, signal),
    initialPageParam: start,
    getNextPageParam: (page) => page.next,
    // The past does not change.
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
  return { ...past, shown, live, lookedBackTo: past.data?.pages.at(-1)?.lookedBackTo };
}

/** What came after `start`, newest first. */
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
    refetchInterval: POLL,
  });
  return useMemo(() => newer.data?.entries ?? [], [newer.data]);
}

/** The entry that a shared link names. */
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
