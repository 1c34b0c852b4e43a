/** JSON to read or to write: folded, coloured and searched by CodeMirror, loaded when it is needed. */
import { Skeleton } from "@mantine/core";
import { lazy, Suspense } from "react";
import type { JsonProps } from "./JsonView";

const View = lazy(() => import("./JsonView"));

export function Json(props: JsonProps) {
  return (
    <Suspense fallback={<Skeleton height={props.minHeight ?? 120} radius="sm" />}>
      <View {...props} />
    </Suspense>
  );
}

/** `text` with line breaks and indentation where it is JSON, else as it is. */
export function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
