// Light, dark, or as the system says. Loaded before the first paint, so that the page never flashes in the other one.
(() => {
  const KEY = "tds-theme";
  const root = document.documentElement;
  const read = () => {
    try {
      return localStorage.getItem(KEY) || "auto";
    } catch {
      return "auto"; // storage may be forbidden; the system's setting is a fine answer
    }
  };
  const apply = (theme) => {
    root.dataset.theme = ["light", "dark"].includes(theme) ? theme : "auto";
    root.dispatchEvent(new Event("themechange"));
  };
  apply(read());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(read()));
  addEventListener("storage", (event) => event.key === KEY && apply(read()));

  // Paper is white: print with the light colours, then go back.
  addEventListener("beforeprint", () => apply("light"));
  addEventListener("afterprint", () => apply(read()));

  document.addEventListener("DOMContentLoaded", () => {
    for (const group of document.querySelectorAll("[data-theme-switch]")) {
      group.hidden = false;
      for (const input of group.querySelectorAll("input")) {
        input.checked = input.value === root.dataset.theme;
        input.addEventListener("change", () => {
          try {
            localStorage.setItem(KEY, input.value);
          } catch {
            // kept for this page only
          }
          apply(input.value);
        });
      }
    }
  });
})();
