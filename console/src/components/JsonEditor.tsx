/** A viewer and editor for JSON. CodeMirror is loaded on demand. */
import { Skeleton } from "@mantine/core";
import { lazy, Suspense } from "react";
import type { JsonProps } from "./JsonEditorView";

const View = lazy(() => import("./JsonEditorView"));

export function JsonEditor(props: JsonProps) {
  return (
    <Suspense fallback={<Skeleton height={props.minHeight ?? 120} radius="sm" />}>
      <View {...props} />
    </Suspense>
  );
}

/** Formats JSON with indentation. Other text is returned unchanged. */
export function formatJson(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
