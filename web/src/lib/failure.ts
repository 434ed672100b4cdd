/** What went wrong, in the reader's language. */
import { isText, language, t } from "../i18n/index.svelte";
import type { Schemas } from "./api";

export interface Told {
  message: string;
  hint: string;
  /** The daemon's own words, where `message` is only a translation of their kind. */
  detail: string;
}

type Wrong = Pick<Schemas["ErrorBody"], "code" | "message" | "hint">;

/** The daemon's words say more than ours, but only in English. */
export function told(wrong: Wrong): Told {
  const { code, message, hint } = wrong;
  const key = `failure.${code}`;
  const hintKey = `${key}.hint`;
  // To those who are signed out the daemon speaks as to programs.
  if (code !== "not-signed-in" && message !== "" && language.current === "en") return { message, hint, detail: "" };
  if (!isText(key)) return { message: t("failure.other", { code }), hint: "", detail: message };
  return { message: t(key), hint: isText(hintKey) ? t(hintKey) : hint, detail: message };
}
