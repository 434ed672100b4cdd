/** Calls of the daemon's API, typed by its own description. */
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Connection = Schemas["Connection"];
export type Summary = Schemas["Summary"];
export type Truth = Schemas["Truth"];
export type Totals = Schemas["Totals"];
export type Rates = Schemas["Rates"];

/** A call that failed: the daemon's own words, or ours where it could not be reached. */
export class Failure extends Error {
  readonly code: string;
  readonly hint: string;
  readonly field: string | undefined;
  readonly offset: number | undefined;
  readonly length: number | undefined;
  readonly expected: readonly string[] | undefined;
  /** With `count-differs`: how many connections there are now. */
  readonly connections: number | undefined;
  readonly status: number;

  constructor(body: Schemas["ErrorBody"], status: number) {
    super(body.message);
    this.name = "Failure";
    this.code = body.code;
    this.hint = body.hint;
    this.field = body.field;
    this.offset = body.offset;
    this.length = body.length;
    this.expected = body.expected;
    this.connections = body.connections;
    this.status = status;
  }
}

/** The typed client: `await call(api.GET("/api/v1/summary"))`. */
export const api = createClient<paths>({ headers: { Accept: "application/json" } });

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** What a call answers; throws a {@link Failure} for everything else. */
export async function call<T>(asked: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await asked;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new Failure({ code: "offline", message: "", hint: "" }, 0);
  }
  if (answer.error !== undefined) throw failureOf(answer.error, answer.response.status);
  // An answer without a body, such as 204, has no data.
  return answer.data as T;
}

function failureOf(error: unknown, status: number): Failure {
  if (typeof error === "object" && error !== null && "code" in error && "message" in error) {
    return new Failure(error as Schemas["ErrorBody"], status);
  }
  return new Failure({ code: `http-${status}`, message: String(error), hint: "" }, status);
}
