/** The editor behind `Json`. A module of its own, so that CodeMirror is not part of the first load. */
import { json } from "@codemirror/lang-json";
import { syntaxHighlighting } from "@codemirror/language";
import { classHighlighter } from "@lezer/highlight";
import { basicSetup, EditorView } from "codemirror";
import { getNonce } from "get-nonce";
import { useEffect, useRef } from "react";
import classes from "./Json.module.css";

export interface JsonProps {
  value: string;
  /** What it is, for who can not see it. */
  label: string;
  /** Without it the text can only be read. */
  onChange?: (value: string) => void;
  minHeight?: number;
  maxHeight?: number;
}

export default function JsonView({ value, label, onChange, minHeight, maxHeight = 480 }: JsonProps) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(null);
  const changed = useRef(onChange);
  changed.current = onChange;
  const writable = onChange !== undefined;

  useEffect(() => {
    if (!host.current) return;
    const editor = new EditorView({
      parent: host.current,
      doc: "",
      extensions: [
        basicSetup,
        EditorView.cspNonce.of(getNonce() ?? ""),
        json(),
        syntaxHighlighting(classHighlighter),
        EditorView.lineWrapping,
        EditorView.editable.of(writable),
        EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) changed.current?.(update.state.doc.toString());
        }),
      ],
    });
    view.current = editor;
    return () => editor.destroy();
  }, [label, writable]);

  useEffect(() => {
    const editor = view.current;
    const shown = editor?.state.doc.toString();
    if (editor && shown !== value) editor.dispatch({ changes: { from: 0, to: shown?.length ?? 0, insert: value } });
  }, [value, label, writable]);

  return (
    <div
      ref={host}
      className={classes.json}
      style={{ "--json-min": `${minHeight ?? 0}px`, "--json-max": `${maxHeight}px` } as object}
    />
  );
}
