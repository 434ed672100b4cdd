/**
 * The page's texts in the reader's language.
 *
 * Each part of the page has a file of its own, in which every text stands in all languages side by side: one that
 * lacks a language is an error of the compiler's.
 */
import { setLocale } from "../lib/format";
import { chart } from "./chart";
import { deletion } from "./deletion";
import { drawer } from "./drawer";
import { query } from "./query";
import { shell } from "./shell";
import { table } from "./table";
import { tabs } from "./tabs";

export const languages = { en: "English", it: "Italiano" } as const;
export type Language = keyof typeof languages;

/** Texts of a part: `{name}` in one is a value. */
export type Part = Record<string, Readonly<Record<Language, string>>>;

const texts = { ...shell, ...query, ...table, ...chart, ...tabs, ...drawer, ...deletion } satisfies Part;
export type Text = keyof typeof texts;

const KEPT = "tracklight.language";

function preferred(): Language {
  const kept = localStorage.getItem(KEPT);
  if (kept !== null && kept in languages) return kept as Language;
  const wanted = navigator.languages.map((language) => language.slice(0, 2));
  return (wanted.find((language) => language in languages) as Language | undefined) ?? "en";
}

const state = $state({ language: "en" as Language });

/** The language of the page. */
export const language = {
  get current(): Language {
    return state.language;
  },
  set(to: Language): void {
    localStorage.setItem(KEPT, to);
    use(to);
  },
};

function use(to: Language): void {
  state.language = to;
  setLocale(to);
  document.documentElement.lang = to;
}

use(preferred());

/** Whether there is such a text: for keys that are put together of the daemon's words. */
export const isText = (key: string): key is Text => Object.hasOwn(texts, key);

/** A text with its values. */
export function t(key: Text, values: Record<string, string | number> = {}): string {
  return texts[key][state.language].replace(/\{(\w+)\}/g, (all, name: string) =>
    name in values ? String(values[name]) : all,
  );
}
