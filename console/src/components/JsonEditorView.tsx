/** The editor of `JsonEditor`. It is a separate module, so that CodeMirror isn't part of the first load. */
import { json } from "@codemirror/lang-json";
import { syntaxHighlighting } from "@codemirror/language";
import { classHighlighter } from "@lezer/highlight";
import { basicSetup, EditorView } from "codemirror";
import { getNonce } from "get-nonce";
import { useEffect, useEffectEvent, useRef } from "react";
import classes from "./JsonEditor.module.css";

export interface JsonProps {
  value: string;
  /** Describes the text for screen readers. */
  label: string;
  /** Without it, the text is read-only. */
  onChange?: (value: string) => void;
  minHeight?: number;
  maxHeight?: number;
}

export default function JsonEditorView({ value, label, onChange, minHeight, maxHeight = 480 }: JsonProps) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(null);
  const notify = useEffectEvent((text: string) => onChange?.(text));
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
          if (update.docChanged) notify(update.state.doc.toString());
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
