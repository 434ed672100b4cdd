/** The names of the query language, asked for once. */
import { api, call } from "../api";
import { NO_NAMES, type Names } from "./tokens";

class Language {
  names = $state.raw<Names>(NO_NAMES);
  #isAsked = false;

  async load(): Promise<void> {
    if (this.#isAsked) return;
    this.#isAsked = true;
    try {
      const known = await call(api.GET("/api/v1/query/fields"));
      this.names = {
        fields: new Set(known.fields.flatMap((field) => field.names)),
        flags: new Set(known.flags.map((flag) => flag.name)),
      };
    } catch {
      // Without names, fields and flags have no colours of their own; the next look tries again.
      this.#isAsked = false;
    }
  }
}

export const queryLanguage = new Language();
