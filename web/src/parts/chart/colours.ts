/** Colours of the theme as a canvas takes them: a style's variables are resolved by the browser itself. */
export function colours(within: HTMLElement): (name: string) => string {
  const probe = document.createElement("span");
  probe.hidden = true;
  within.append(probe);
  const known = new Map<string, string>();
  const read = (name: string): string => {
    probe.style.color = `var(--${name})`;
    const value = getComputedStyle(probe).color;
    known.set(name, value);
    return value;
  };
  return (name) => known.get(name) ?? read(name);
}
