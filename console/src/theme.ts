/** The theme: one accent color, system fonts, and dense controls. Colors meet WCAG AA in light and dark mode. */
import { type CSSVariablesResolver, type MantineColorsTuple, createTheme, rem } from "@mantine/core";

const brand: MantineColorsTuple = [
  "#e7f7f3",
  "#d0ece5",
  "#a2d9cc",
  "#71c4b2",
  "#4ab39c",
  "#30a78d",
  "#1b9a80",
  "#0b7a6b",
  "#076456",
  "#034f44",
];

/** Grays with a tint of the accent color, for dark mode. */
const dark: MantineColorsTuple = [
  "#dfe6e4",
  "#b7c2be",
  "#93a19d",
  "#6d7b77",
  "#3a4642",
  "#2a3330",
  "#1c2422",
  "#171d1b",
  "#111615",
  "#0c100f",
];

const sans =
  'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", "Helvetica Neue", Arial, sans-serif';
const mono = 'ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "DejaVu Sans Mono", monospace';

export const theme = createTheme({
  primaryColor: "brand",
  primaryShade: 7,
  colors: { brand, dark },
  fontFamily: sans,
  fontFamilyMonospace: mono,
  defaultRadius: "md",
  cursorType: "pointer",
  respectReducedMotion: true,
  fontSizes: { xs: rem(12), sm: rem(13), md: rem(14), lg: rem(16), xl: rem(20) },
  headings: {
    fontWeight: "620",
    sizes: { h1: { fontSize: rem(22) }, h2: { fontSize: rem(16) }, h3: { fontSize: rem(14) } },
  },
  components: {
    Button: { defaultProps: { size: "sm" } },
    TextInput: { defaultProps: { size: "sm" } },
    Modal: {
      defaultProps: {
        centered: true,
        overlayProps: { backgroundOpacity: 0.4 },
        closeButtonProps: { "aria-label": "Close" },
      },
    },
    Drawer: { defaultProps: { closeButtonProps: { "aria-label": "Close" } } },
    Tooltip: { defaultProps: { openDelay: 300, withArrow: true, multiline: true, maw: 320 } },
    // The placeholder has no role that is allowed in a menu.
    Menu: { defaultProps: { shadow: "md", position: "bottom-end", withInitialFocusPlaceholder: false } },
    Table: { defaultProps: { verticalSpacing: "xs" } },
  },
});

export const variables: CSSVariablesResolver = () => ({
  variables: { "--gap": rem(16) },
  light: {
    "--mantine-color-body": "#ffffff",
    "--mantine-color-text": "#1b2421",
    "--mantine-color-dimmed": "#5b6865",
    "--mantine-color-placeholder": "#6b7875",
    "--mantine-color-anchor": "#0b7a6b",
    "--mantine-color-error": "#c92a2a",
    "--mantine-color-red-light": "#fdeeee",
    "--mantine-color-red-light-color": "#b02525",
    "--mantine-color-orange-light": "#fff2e2",
    "--mantine-color-orange-light-color": "#9a3d00",
    "--mantine-color-yellow-light": "#fff7dc",
    "--mantine-color-yellow-light-color": "#7a5200",
    "--mantine-color-blue-light": "#e9f2fc",
    "--mantine-color-blue-light-color": "#1459a0",
    "--mantine-color-green-light": "#e5f6ea",
    "--mantine-color-green-light-color": "#1f6f35",
    "--ground": "#f6f8f7",
    "--raised": "#ffffff",
    "--line": "#e1e7e4",
    "--line-strong": "#c4cecb",
    "--hover": "#eef3f1",
    "--accent-soft": "#e2f3ee",
    "--accent-text": "#076456",
  },
  dark: {
    "--mantine-color-body": "#151a19",
    "--mantine-color-text": "#dfe6e4",
    "--mantine-color-dimmed": "#93a19d",
    "--mantine-color-placeholder": "#83918d",
    "--mantine-color-anchor": "#4ec3aa",
    "--mantine-color-error": "#ff8787",
    "--mantine-color-red-light": "#2e1a1b",
    "--mantine-color-red-light-color": "#ff9b9b",
    "--mantine-color-orange-light": "#2d2012",
    "--mantine-color-orange-light-color": "#ffb366",
    "--mantine-color-yellow-light": "#2a2413",
    "--mantine-color-yellow-light-color": "#ffd75e",
    "--mantine-color-blue-light": "#15232f",
    "--mantine-color-blue-light-color": "#8cc4f5",
    "--mantine-color-green-light": "#14281b",
    "--mantine-color-green-light-color": "#7fd49a",
    "--ground": "#0f1312",
    "--raised": "#171d1b",
    "--line": "#27302d",
    "--line-strong": "#3a4642",
    "--hover": "#1e2624",
    "--accent-soft": "#143a32",
    "--accent-text": "#7fd8c4",
  },
});
