/** What the bits of marks mean: asked for once, the configuration changes seldom. */
import { api, call, type Schemas } from "./api";

type Marks = Schemas["Configuration"]["marks"];

let asked: Promise<Marks> | undefined;

export function marks(): Promise<Marks> {
  asked ??= call(api.GET("/api/v1/configuration"))
    .then((configuration) => configuration.marks)
    .catch((failure: unknown) => {
      // Another try, the next time.
      asked = undefined;
      throw failure;
    });
  return asked;
}
