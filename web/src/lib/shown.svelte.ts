/** How the page looks: kept in this browser, not in the address. */

const KEPT = "tracklight.theme";
export const THEMES = ["auto", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

function kept(): Theme {
  const value = localStorage.getItem(KEPT);
  return THEMES.find((theme) => theme === value) ?? "auto";
}

class Shown {
  theme = $state<Theme>(kept());

  use(theme: Theme): void {
    this.theme = theme;
    localStorage.setItem(KEPT, theme);
    this.apply();
  }

  apply(): void {
    if (this.theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.theme;
  }
}

export const shown = new Shown();
shown.apply();
