/** Sends a request with the session and measures it. An error response is a result as well. */
import { useMutation } from "@tanstack/react-query";
import { request } from "../../api/client";
import type { Prepared } from "./request";

export interface RecordedResponse {
  status: number;
  statusText: string;
  headers: [string, string][];
  body: string;
  elapsed: number;
  traceId?: string;
  dryRun: boolean;
}

async function send({ method, path, headers, body }: Prepared): Promise<RecordedResponse> {
  const started = performance.now();
  const response = await request(new Request(path, { method, headers, body }));
  const text = await response.text();
  return {
    status: response.status,
    statusText: response.statusText,
    headers: [...response.headers].sort(([one], [other]) => one.localeCompare(other)),
    body: text,
    elapsed: performance.now() - started,
    traceId: response.headers.get("cc-trace-id") ?? undefined,
    dryRun: new URL(path, location.origin).searchParams.get("dry_run") === "true",
  };
}

export const useSend = () => useMutation({ mutationFn: send, retry: false });
