/**
 * The editor of the SQL shell. It is a separate module, so that CodeMirror isn't part of the first load.
 *
 * It uses a shadow root: there CodeMirror adds its styles as constructed style sheets, which the content security
 * policy allows, instead of inline style elements.
 */
import { PostgreSQL, sql } from "@codemirror/lang-sql";
import { syntaxHighlighting } from "@codemirror/language";
import { Prec, StateEffect, StateField } from "@codemirror/state";
import { Decoration, keymap, placeholder, type DecorationSet } from "@codemirror/view";
import { classHighlighter } from "@lezer/highlight";
import { EditorView, basicSetup } from "codemirror";
import { useEffect, useEffectEvent, useRef } from "react";
import classes from "./Sql.module.css";

export interface EditorProps {
  value: string;
  onChange: (value: string) => void;
  onRun: () => void;
  /** The offset of the error that the server reported, from 0. */
  errorOffset: number | null;
}

const setMark = StateEffect.define<number | null>();
const mark = Decoration.mark({ class: "marked" });

const marks = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(shown, change) {
    let next = shown.map(change.changes);
    for (const effect of change.effects) {
      if (effect.is(setMark)) next = markAt(change.state.doc.toString(), effect.value);
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

/** Marks the word at an offset, or the last character. */
function markAt(text: string, offset: number | null): DecorationSet {
  if (offset === null || text.length === 0) return Decoration.none;
  const from = Math.min(offset, text.length - 1);
  const word = /^(?:\w+|\S|\s)/u.exec(text.slice(from))?.[0] ?? " ";
  return Decoration.set(mark.range(from, from + word.length));
}

const theme = EditorView.theme({
  "&": { color: "var(--mantine-color-text)", fontSize: "var(--mantine-font-size-sm)", height: "100%" },
  ".cm-scroller": { fontFamily: "var(--mantine-font-family-monospace)", lineHeight: "1.6", overflow: "auto" },
  ".cm-content": { caretColor: "var(--mantine-color-text)", padding: "10px 0" },
  ".cm-cursor": { borderLeftColor: "var(--mantine-color-text)" },
  ".cm-gutters": { background: "transparent", border: "0", color: "var(--mantine-color-dimmed)" },
  ".cm-activeLine, .cm-activeLineGutter": { background: "var(--sql-active-line)" },
  "&.cm-focused": { outline: "none" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: "var(--sql-selection) !important",
  },
  ".cm-placeholder": { color: "var(--mantine-color-dimmed)" },
  ".cm-tooltip": {
    background: "var(--mantine-color-body)",
    border: "1px solid var(--mantine-color-default-border)",
    borderRadius: "var(--mantine-radius-sm)",
  },
  ".cm-tooltip-autocomplete ul li[aria-selected]": {
    background: "var(--mantine-primary-color-filled)",
    color: "var(--mantine-primary-color-contrast)",
  },
  ".cm-panels": { background: "var(--mantine-color-body)", color: "var(--mantine-color-text)" },
  ".marked": {
    textDecoration: "underline wavy var(--mantine-color-error)",
    textUnderlineOffset: "3px",
    background: "var(--sql-marked)",
  },
  ".tok-keyword": { color: "var(--sql-keyword)", fontWeight: "600" },
  ".tok-string, .tok-string2": { color: "var(--sql-string)" },
  ".tok-number, .tok-bool, .tok-atom, .tok-literal": { color: "var(--sql-number)" },
  ".tok-typeName": { color: "var(--sql-type)" },
  ".tok-comment": { color: "var(--mantine-color-dimmed)", fontStyle: "italic" },
});

export default function Editor({ value, onChange, onRun, errorOffset }: EditorProps) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(null);
  const notify = useEffectEvent((text: string) => onChange(text));
  const submit = useEffectEvent(() => onRun());

  useEffect(() => {
    if (!host.current) return;
    const root = host.current.shadowRoot ?? host.current.attachShadow({ mode: "open" });
    const run = () => {
      submit();
      return true;
    };
    const editor = new EditorView({
      parent: root,
      root,
      doc: "",
      extensions: [
        Prec.highest(keymap.of([{ key: "Mod-Enter", run }])),
        basicSetup,
        sql({ dialect: PostgreSQL, upperCaseKeywords: true }),
        syntaxHighlighting(classHighlighter),
        theme,
        marks,
        placeholder("SELECT …"),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": "SQL statement" }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) notify(update.state.doc.toString());
        }),
      ],
    });
    view.current = editor;
    return () => {
      view.current = null;
      editor.destroy();
    };
  }, []);

  useEffect(() => {
    const editor = view.current;
    const shown = editor?.state.doc.toString();
    if (!editor || shown === value) return;
    editor.dispatch({ changes: { from: 0, to: shown?.length ?? 0, insert: value } });
  }, [value]);

  useEffect(() => {
    view.current?.dispatch({ effects: setMark.of(errorOffset) });
  }, [errorOffset]);

  return <div ref={host} className={classes.editor} />;
}
