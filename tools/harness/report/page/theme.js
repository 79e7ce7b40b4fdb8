// The switch of the theme.

// Auto, light, dark; kept for the next page where the browser allows it.
function useTheme(button, changed) {
  const words = {"": "auto", light: "light", dark: "dark"};
  let theme = "";
  const apply = () => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    button.textContent = "Theme: " + words[theme];
    changed();
  };
  try {
    const kept = localStorage.getItem("forkserver-theme");
    if (kept in words) theme = kept;
  } catch {
    // No storage for pages from a file: then not.
  }
  button.addEventListener("click", () => {
    const order = Object.keys(words);
    theme = order[(order.indexOf(theme) + 1) % order.length];
    try {
      localStorage.setItem("forkserver-theme", theme);
    } catch {
      // As above.
    }
    apply();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  apply();
}
