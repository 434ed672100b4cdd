/** Who is signed in. */
import { api, call, type Schemas } from "./api";

class Session {
  who = $state.raw<Schemas["Session"] | undefined>();
  /** Whether the session is known to be over. */
  isOver = $state(false);

  /** Whether buttons that change something are on; {@link whyNot} says why not. */
  get mayChange(): boolean {
    return this.who?.role === "operator";
  }

  async look(): Promise<void> {
    try {
      this.who = await call(api.GET("/api/v1/session"));
      this.isOver = false;
    } catch {
      // Where the session is over that is known already; the page says elsewhere if the daemon does not answer.
    }
  }

  async signOut(): Promise<void> {
    await call(api.DELETE("/api/v1/session"));
    location.assign("/signin");
  }
}

/** Where one signs in, and is led back to this view from. */
export const signIn = (): string => (location.search === "" ? "/signin" : `/signin?${new URLSearchParams({ next: `/${location.search}` })}`);

export const session = new Session();

// Whatever was asked for tells it.
api.use({
  onResponse: ({ response }) => {
    if (response.status === 401) session.isOver = true;
  },
});
